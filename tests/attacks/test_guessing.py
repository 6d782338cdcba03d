"""Guessing passwords: from many sources, through two servers, in many spellings, and without waiting for answers."""

import json
import threading
import time
from functools import partial
from typing import Any

from common.wire.kinds import Kind
from tests.attacks.attacker import AttackCase, break_off, guess, sources
from tests.endurance.faults import memory
from tests.support import ServerProcess, at_once, scaled

FREE = 5
SPELLINGS = ("alice", "ALICE", "Alice", "\uff41lice", "\uff21LICE", " alice ", "aLiCe")


class Guessing(AttackCase):
    def two_servers(self) -> tuple[ServerProcess, ServerProcess]:
        return self.start_process(mode="auth"), self.start_process(mode="auth")

    def test_a_hundred_sources_through_two_servers_get_the_free_attempts_and_one_more(self) -> None:
        servers = self.two_servers()
        token = servers[0].talk("127.0.0.1").register("Alice")
        let_in: list[bool] = []

        def attack(number: int, source: str) -> None:
            let_in.append(guess(servers[number % 2], source, SPELLINGS[number % 7], f"wrong horse {number}"))

        at_once(*(partial(attack, number, source) for number, source in enumerate(sources(100))))
        self.assertEqual([False] * 100, let_in)
        self.assertEqual(FREE + 1, self.count_checks("alice"))
        for server in servers:
            server.stop()
        server = self.start_process(mode="auth")
        self.assertFalse(guess(server, "127.66.9.9", "alice", "correct horse"))  # a restart forgets nothing
        self.assertTrue(guess(server, "127.0.0.1", "alice", "correct horse"))
        owner = server.talk("127.66.0.1")
        owner.give_token(token)
        owner.expect(Kind.TEXT)

    def test_other_users_of_the_owners_address_get_no_extra_guesses(self) -> None:
        server = self.start_process(mode="auth")
        server.talk("127.0.0.1").register("Alice")
        at_once(*(partial(guess, server, "127.0.0.1", "alice", f"wrong {number}") for number in range(40)))
        self.assertEqual(FREE + 1, self.count_checks("alice"))
        self.assertFalse(guess(server, "127.0.0.1", "alice", "correct horse"))
        self.assertTrue(guess(server, "127.0.0.2", "alice", "correct horse"))

    def test_a_guess_without_waiting_for_the_answer_counts_and_blocks_nothing(self) -> None:
        server = self.start_process(mode="auth")
        server.talk("127.0.0.1").register("Alice")
        at_once(*(partial(break_off, server, source, "alice", "wrong") for source in sources(20)))
        server.wait_for_log("alice is locked")
        server.wait_for_log("and is now locked for 30 seconds")
        self.assertEqual(FREE + 1, self.count_checks("alice"))
        self.assertFalse(guess(server, "127.0.0.2", "alice", "correct horse"))
        self.assertTrue(guess(server, "127.0.0.1", "alice", "correct horse"))

    def test_after_100_failures_the_password_works_only_at_familiar_addresses_until_enabled(self) -> None:
        quick: dict[str, Any] = {
            "handlers": {"auth": {"options": {"lockout": {"first_delay": 1e-6, "max_delay": 1e-6}}}}
        }
        server = self.start_process(mode="auth", **quick)
        token = server.talk("127.0.0.1").register("Alice")
        for source in sources(110):
            self.assertFalse(guess(server, source, "alice", "wrong horse"))
        self.assertEqual(100, self.count_checks("alice"))
        self.assertFalse(guess(server, "127.0.0.2", "alice", "correct horse"))
        self.assertEqual(("blocked", False), self.state("Alice"))
        self.assertTrue(guess(server, "127.0.0.1", "alice", "correct horse"))
        owner = server.talk("127.0.0.3")
        owner.give_token(token)
        owner.expect(Kind.TEXT)
        self.administer("enable", "alice")
        self.assertTrue(guess(server, "127.0.0.2", "alice", "correct horse"))

    def state(self, name: str) -> tuple[str, bool]:
        """Return an account's state in the table, and whether it is disabled."""
        (account,) = json.loads(self.administer("list", "--json"))
        self.assertEqual(name, account["name"])
        return self.administer("list").splitlines()[1].split()[1], account["disabled"]


class Flood(AttackCase):
    """A test with hashes at their real cost."""

    def test_a_flood_of_logins_takes_little_memory_and_does_not_stop_logged_in_users(self) -> None:
        real = {"argon2": {"memory_kib": 19456, "time_cost": 2}}
        options = {"passwords": real, "lockout": {"free_attempts": 100}}
        server = self.start_process(
            mode="auth", limits={"max_connections_per_address": 1000}, handlers={"auth": {"options": options}}
        )
        client = server.talk()
        client.register("Alice")
        before = memory(server.process.pid)
        stop = threading.Event()

        def flood(source: str) -> None:
            while not stop.is_set():
                guess(server, source, "alice", "wrong horse")

        # Twenty from each address: four more than may wait for their turns, however quick the machine is.
        attackers = [partial(flood, source) for source in sources(2) for _ in range(20)]
        flooding = threading.Thread(target=at_once, args=attackers)
        flooding.start()
        try:
            server.wait_for_log("login not checked: too busy")
            delays = []
            for number in range(200):
                start = time.monotonic()
                client.say(str(number))
                client.expect(Kind.TEXT, str(number))
                delays.append(time.monotonic() - start)
            peak = memory(server.process.pid, "VmHWM")
            self.administer("logout", "alice")
            start = time.monotonic()
            client.expect(Kind.ERROR, "your session was ended")
            self.assertLess(time.monotonic() - start, scaled(3))  # one second on a machine that is not busy
        finally:
            stop.set()
            flooding.join()
        self.assertLess(sorted(delays)[100], scaled(0.05))
        self.assertLess(sorted(delays)[197], scaled(0.5))
        permits = 4  # more hashes at once than a test machine is likely to allow; each takes 19 MiB
        self.assertLess(peak - before, (permits * 19 + 24) * 1024)
