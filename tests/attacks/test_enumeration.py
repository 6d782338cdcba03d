"""Finding out which accounts exist: with closed registration, all refusals have the same words and the same time."""

import time
from collections.abc import Callable, Collection

from sqlalchemy import update

from common.wire.kinds import Kind
from server.identity.lockout import ELSEWHERE
from server.store.database import Store
from server.store.tables import accounts, failures
from tests.attacks.attacker import AttackCase, sources
from tests.support import ServerProcess

FEWEST, MOST = 3, 60  # rounds
CAUSES = {
    "known": "known",
    "unknown": "nobody",
    "disabled": "disabled",
    "locked": "locked",
    "damaged": "damaged",
    "over-long": "x" * 4000,
    "with a NUL": "kno\0wn",
    "of two scripts": "kn\u043ewn",
    "reserved": "root",
    "with an old hash": "old",
}
PASSWORDS = {"long password": "p" * 4000, "password with a NUL": "p\0q", "empty password": ""}


class Enumeration(AttackCase):
    """Tests with hashes at their real cost."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.configure(passwords={"argon2": {"memory_kib": 8192, "time_cost": 1}})
        for name in ("known", "disabled", "locked", "damaged", "old"):
            self.administer("add", name, input="correct horse\n")
        self.path = self.configure(passwords={"argon2": {"memory_kib": 19456, "time_cost": 2}})
        for name in ("known", "disabled", "locked"):
            self.administer("password", name, input="correct horse\n")
        self.administer("disable", "disabled")
        store = Store(f"sqlite:///{self.folder}/data/porter.db")
        with store.writing() as transaction:
            transaction.execute(update(accounts).where(accounts.c.name == "damaged").values(password_hash="damaged"))
            row = {"canonical": "locked", "source": ELSEWHERE, "guesses": 100, "last": 0.0}
            row["locked_until"] = time.time() + 1e6
            transaction.execute(store.insert(failures).values(row))
        store.close()

    def configure(self, **options: object) -> str:
        closed = {"registration": "closed", "lockout": {"free_attempts": 100}, **options}
        return str(self.write_configuration(mode="auth", handlers={"auth": {"options": closed}}))

    def server(self) -> ServerProcess:  # type: ignore[override]
        process = ServerProcess(self, "--config", self.path)
        self.addCleanup(process.close)
        return process

    def refused(
        self, server: ServerProcess, source: str, name: str, password: str
    ) -> tuple[list[tuple[Kind, str]], float]:
        """Return all messages to one try, up to the next question, and how many seconds the answer took."""
        client = server.talk(source)
        try:
            client.give_token()
            said = [client.next()]
            client.say(name)
            said.append(client.next())
            client.say(password)
            start = time.monotonic()
            said.append(client.next())
            took = time.monotonic() - start
            said.append(client.next())
            return said, took
        finally:
            client.connection.close()

    def assert_same_time(
        self, causes: Collection[str], tolerance: float, try_once: Callable[[str, str], float]
    ) -> None:
        """Try each cause from one source after another. Try again those that took longer, until all agree.

        A busy machine only makes a try slower, so the quickest try comes close to the true time. A real
        difference never goes away.
        """
        quickest = dict.fromkeys(causes, float("inf"))
        slow = list(causes)
        for tried, source in enumerate(sources(MOST), start=1):
            for cause in slow:
                quickest[cause] = min(quickest[cause], try_once(cause, source))
            if tried >= FEWEST:
                slow = [cause for cause in causes if quickest[cause] > tolerance * min(quickest.values())]
            if not slow:
                return
        self.fail(f"the time tells the causes from each other: {quickest}")

    def test_every_cause_gets_the_same_words_in_the_same_time(self) -> None:
        server = self.server()
        tries = {cause: (name, "wrong horse") for cause, name in CAUSES.items()}
        tries |= {cause: ("known", password) for cause, password in PASSWORDS.items()}
        tries["disabled, the right password"] = ("disabled", "correct horse")
        tries["locked, the right password"] = ("locked", "correct horse")
        told = set()

        def try_once(cause: str, source: str) -> float:
            said, took = self.refused(server, source, *tries[cause])
            told.add(tuple(said))
            return took

        self.assert_same_time(tries, 1.2, try_once)
        self.assertEqual(1, len(told), told)

    def test_the_first_try_after_a_start_reveals_nothing(self) -> None:
        def try_once(cause: str, source: str) -> float:
            server = self.server()
            _, took = self.refused(server, source, CAUSES[cause], "wrong horse")
            server.stop()
            return took

        self.assert_same_time(("known", "unknown"), 1.3, try_once)

    def test_a_damaged_hash_gives_one_error_in_the_log(self) -> None:
        server = self.server()
        self.refused(server, "127.66.0.1", "damaged", "wrong horse")
        server.stop()
        errors = [line for line in server.log().splitlines() if " ERROR " in line]
        self.assertEqual(1, len(errors), errors)
        self.assertIn("a stored password hash cannot be used: it is damaged", errors[0])
