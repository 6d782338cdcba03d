"""./run.sh clients and top: who is connected, over one process or several, and who is made to leave."""

import json
import os
import signal
import socket
import sys
import threading
from typing import Any

import pexpect

from common.wire.kinds import Kind
from server.control import clients, top
from tests.support import PATIENCE, QUICK_HASHES, PorterTestCase, call_program, environment, wait_until

KEYS = [
    "account",
    "address",
    "id",
    "last",
    "mode",
    "received",
    "received_bytes",
    "sent",
    "sent_bytes",
    "since",
    "tls",
]
AUTH = {"auth": {"options": QUICK_HASHES}}


class Behaviour:
    def ask(self: Any, *arguments: str, program: Any = clients) -> tuple[int, str, str]:
        found: tuple[int, str, str] = call_program(
            program.main, *arguments, "--config", str(self.folder / "server.yaml")
        )
        return found

    def rows(self: Any) -> list[dict[str, Any]]:
        status, out, errors = self.ask("list", "--json")
        self.assertEqual((0, ""), (status, errors))
        found: list[dict[str, Any]] = json.loads(out)
        return found

    def test_each_connection_is_a_row_with_who_it_is_and_what_it_has_sent(self: Any) -> None:
        with self.server("auth", handlers=AUTH) as server:
            self.assertEqual([], self.rows())
            talker = server.talk("127.0.0.5")
            talker.register("Alice")
            stranger = server.talk()
            stranger.expect(Kind.GET_TOKEN)
            for text in ("one", "two"):
                talker.say(text)
                talker.expect(Kind.TEXT, text)
            rows = {row["account"]: row for row in self.rows()}
            self.assertEqual({"Alice", None}, set(rows))
            row = rows["Alice"]
            self.assertEqual(KEYS, sorted(row))
            self.assertEqual(f"127.0.0.5:{talker.connection.socket.getsockname()[1]}", row["address"])
            self.assertRegex(row["id"], rf"^{os.getpid()}-\d+$")
            self.assertEqual(("auth", 6), (row["mode"], row["received"]))
            self.assertEqual("TLSv1.3" if self.tls else None, row["tls"])
            wire = ("TOKEN", "TEXT Alice", "TEXT correct horse", "TEXT correct horse", "TEXT one", "TEXT two")
            self.assertEqual(sum(map(len, wire)), row["received_bytes"])
            self.assertLess(0, row["last"] - row["since"])
            self.assertEqual({row["id"] for row in rows.values()}, {row["id"] for row in self.rows()})

    def test_a_kick_ends_the_connections_that_are_meant_and_is_logged(self: Any) -> None:
        with self.server("auth", handlers=AUTH) as server:
            talkers = {}
            for name, address in (("Alice", "127.0.0.5"), ("Bob", "127.0.0.6"), ("Carol", "127.0.0.7")):
                talkers[name] = server.talk(address)
                talkers[name].register(name)
            carol = next(row["id"] for row in self.rows() if row["account"] == "Carol")
            for name, meant in (
                ("Alice", ["--name", "alice"]),
                ("Bob", ["--address", "::ffff:127.0.0.6"]),
                ("Carol", [carol]),
            ):
                status, out, errors = self.ask("kick", *meant)
                self.assertEqual((0, "", True), (status, errors, f"{name} is disconnected" in out))
                self.assertIn("an administrator has ended", talkers[name].expect(Kind.ERROR))
                talkers[name].expect_end()
            for meant in (["--name", "Dave"], ["--address", "127.0.0.5"], [carol]):
                self.assertEqual(69, self.ask("kick", *meant)[0])
            log = (self.folder / "server.log").read_text()
            self.assertRegex(log, rf"administrator \S+ disconnected Carol, {carol}, 127\.0\.0\.7:\d+")

    def test_a_name_that_looks_like_markup_is_shown_as_it_is(self: Any) -> None:
        with self.server("auth", handlers=AUTH) as server:
            for name in ("[/a]", "[red]x"):
                server.talk().register(name)
                status, out, errors = self.ask("--once", program=top)
                self.assertEqual((0, "", True), (status, errors, name in out), errors)

    def test_top_prints_the_table_once(self: Any) -> None:
        with self.server("auth", handlers=AUTH) as server:
            talker = server.talk()
            talker.register("Alice")
            status, out, errors = self.ask("--once", program=top)
            self.assertEqual((0, ""), (status, errors))
            self.assertIn("connections: 1", out)
            self.assertRegex(out, r"(?m)^\d+-1 +127\.0\.0\.1:\d+ +Alice +auth +\d\d:\d\d:\d\d +0 +0 +0 +0")

    def test_without_a_server_it_is_69_and_says_why(self: Any) -> None:
        self.write_configuration()
        status, out, errors = self.ask("list")
        self.assertEqual((69, ""), (status, out))
        self.assertIn("no server with this configuration runs on this machine", errors)


class Plain(Behaviour, PorterTestCase):
    def test_all_workers_are_asked_and_sockets_of_the_dead_are_removed(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False})
        clients_ = [server.connect() for _ in range(20)]
        for client in clients_:
            client.send_message("x")
            client.receive_message()
        rows = self.rows()
        self.assertEqual((20, 2), (len(rows), len({row["id"].partition("-")[0] for row in rows})))
        pid = int(rows[0]["id"].partition("-")[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: str(pid) not in {row["id"].partition("-")[0] for row in self.rows()}, "the end of the worker"
        )
        socket_of_worker = self.folder / "control" / f"{pid}.sock"
        # It may have ended while it was asked; then the next question finds nobody there.
        wait_until(lambda: not (self.rows() and socket_of_worker.exists()), "the end of its socket")
        self.assertEqual((0, "", ""), server.stop())
        self.assertEqual([], list((self.folder / "control").iterdir()))

    def test_a_process_that_ends_while_it_is_asked_is_left_out(self) -> None:
        with self.server("echo") as server, socket.socket(socket.AF_UNIX) as listener:
            server.connect()
            listener.bind(str(self.folder / "control" / "1.sock"))
            listener.listen()

            def end_in_the_middle() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1)  # closing resets the connection, because the rest is unread

            dying = threading.Thread(target=end_in_the_middle)
            dying.start()
            self.assertEqual(1, len(self.rows()))
            dying.join()

    def test_a_folder_that_cannot_be_is_a_warning_and_the_command_says_why(self) -> None:
        long = str(self.folder / ("x" * 100))
        with self.server("echo", control=long) as server:
            client = server.connect()
            client.send_message("served all the same")
            self.assertEqual("served all the same", client.receive_message())
            self.assertIn("107 bytes at most", self.ask("list")[2])
        self.assertRegex(
            (self.folder / "server.log").read_text(), "WARNING - .*cannot ask this server: the path of a"
        )

    def test_the_folder_and_the_sockets_are_private(self) -> None:
        with self.server("echo"):
            folder = self.folder / "control"
            modes = [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())]
            self.assertEqual([0o700, 0o600], modes)

    def test_a_command_that_sends_rubbish_or_nothing_costs_the_next_one_little(self) -> None:
        with self.server("echo"):
            path = next((self.folder / "control").iterdir())
            for data in (b"", b"\0\0\0\2{]", b"\xff\xff\xff\xff", b"\0\0\0\4null"):
                with socket.socket(socket.AF_UNIX) as rude:
                    rude.connect(str(path))
                    rude.sendall(data)
                    rude.shutdown(socket.SHUT_WR)
                    rude.settimeout(PATIENCE)
                    rude.recv(1000)
            self.assertEqual([], self.rows())


class Secure(Behaviour, PorterTestCase):
    tls = True


class Live(PorterTestCase):
    def test_on_a_terminal_the_table_lives_until_ctrl_c(self) -> None:
        with self.server("auth", handlers=AUTH) as server:
            talker = server.talk()
            talker.register("Alice")
            command = ["-P", "-m", "server.control.top", "--config", str(self.folder / "server.yaml")]
            child = pexpect.spawn(
                sys.executable,
                command,
                env={**environment(self.folder), "TERM": "xterm"},
                dimensions=(24, 140),
                timeout=PATIENCE,
            )
            self.addCleanup(child.close, force=True)
            child.expect("Alice")
            talker.say("hello")
            child.expect("connections: 1")
            child.sendintr()
            child.expect(pexpect.EOF)
            child.wait()
            self.assertEqual(130, child.exitstatus)
