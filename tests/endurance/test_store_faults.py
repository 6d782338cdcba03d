"""The store fails under a running server: clients are told nothing false, and it recovers within two seconds."""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from common.errors import ConnectionEnded
from common.wire.kinds import Kind
from tests.endurance.faults import SmallDisk, failing_calls, needs_mounts, needs_strace
from tests.server.store_case import Postgres, StoreTestCase, needs_postgres
from tests.support import PorterTestCase, ServerProcess, Talker, at_once, run_program, scaled, wait_until

UNAVAILABLE = "temporarily unavailable, try again later"
RECOVERED_WITHIN = scaled(2.0)


def _set_wal(database: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.OperationalError):  # the watcher reads just now
        return database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    return False


class StoreFaults(PorterTestCase):
    def begin(self, server: ServerProcess, data: Path) -> None:
        self.server_process, self.data = server, data
        self.inside = server.talk()
        self.token = self.inside.register("Alice")

    def attempt(self, talk: Callable[[Talker], object]) -> object:
        """Return the result of a conversation, or the ERROR that ended it."""
        client = self.server_process.talk()
        try:
            return talk(client)
        except AssertionError as unexpected:
            return str(unexpected)
        except ConnectionEnded as error:
            return repr(error)
        finally:
            client.connection.close()

    def log_in(self, client: Talker) -> str:
        client.give_token()
        client.answer(Kind.ASK, "alice")
        client.answer(Kind.SECRET, "correct horse")
        kind, text = client.next()
        return text if kind is Kind.ERROR else kind.value

    def register(self, name: str) -> Callable[[Talker], str]:
        def talk(client: Talker) -> str:
            client.give_token()
            client.answer(Kind.ASK, name)
            client.answer(Kind.SECRET, "correct horse")
            client.answer(Kind.SECRET, "correct horse")
            kind, text = client.next()
            return text if kind is Kind.ERROR else kind.value

        return talk

    def resume(self, client: Talker) -> str:
        client.give_token(self.token)
        kind, text = client.next()
        return text if kind is Kind.ERROR else kind.value

    def check(self, fault: Callable[[], AbstractContextManager[object]], *, can_read: bool) -> None:
        """Check that clients hear nothing false during the fault, and that all is right afterwards, on disk too."""
        said: dict[str, object] = {}

        def try_one(name: str, talk: Callable[[Talker], object]) -> None:
            said[name] = self.attempt(talk)

        with fault():
            self.inside.say("still here?")
            self.inside.expect(Kind.TEXT, "still here?")
            at_once(
                lambda: try_one("login", self.log_in),
                lambda: try_one("registration", self.register("Bob")),
                lambda: try_one("resume", self.resume),
            )
            self.inside.say("and now?")
            self.inside.expect(Kind.TEXT, "and now?")
        fault_end = time.monotonic()
        self.assertIn(UNAVAILABLE, str(said["login"]))
        self.assertIn(UNAVAILABLE, str(said["registration"]))
        self.assertEqual("TEXT" if can_read else UNAVAILABLE, said["resume"])
        while (found := self.attempt(self.register("Bob"))) != "SET-TOKEN":
            self.assertIn(UNAVAILABLE, str(found))  # and not that the name exists already
            self.assertLess(time.monotonic() - fault_end, RECOVERED_WITHIN)
        self.assertEqual("SET-TOKEN", self.attempt(self.log_in))
        self.assertEqual("TEXT", self.attempt(self.resume))
        self.assertLess(time.monotonic() - fault_end, RECOVERED_WITHIN)
        self.inside.say("/logout")
        self.inside.expect(Kind.SET_TOKEN, "")
        copy = shutil.copy(self.data / "porter.db", self.folder / "copy.db")
        with contextlib.closing(sqlite3.connect(copy)) as database:
            self.assertEqual([("ok",)], database.execute("PRAGMA integrity_check").fetchall())
            names = [name for (name,) in database.execute("SELECT name FROM accounts ORDER BY id")]
        self.assertEqual(["Alice", "Bob"], names)
        self.assertNotIn("Traceback", self.server_process.log())
        self.assertEqual((0, "", ""), self.server_process.stop())

    @needs_mounts
    def test_the_server_recovers_from_a_full_disk(self) -> None:
        disk = SmallDisk(self.folder / "disk", kib=512)
        server = self.start_process(
            under=disk.under, mode="auth", store=f"sqlite:///{self.folder}/disk/data/porter.db"
        )
        self.begin(server, disk.path(server) / "data")
        self.check(lambda: disk.full(server), can_read=True)

    @needs_strace
    def test_the_server_recovers_from_a_read_only_disk(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")
        self.check(lambda: failing_calls(server, ["pwrite64", "unlink", "ftruncate"], "EROFS"), can_read=True)

    @needs_strace
    def test_the_server_recovers_from_a_disk_that_cannot_sync(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")
        self.check(lambda: failing_calls(server, ["fdatasync", "fsync"], "EIO"), can_read=True)

    @needs_strace
    def test_the_server_recovers_from_a_disk_that_cannot_be_read(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")
        self.check(lambda: failing_calls(server, ["pread64"], "EIO"), can_read=False)

    def test_the_server_recovers_from_a_locked_store(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")

        @contextlib.contextmanager
        def locked() -> Iterator[None]:
            with contextlib.closing(sqlite3.connect(self.folder / "data/porter.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                yield
                other.execute("COMMIT")

        self.check(locked, can_read=True)

    def test_the_server_recovers_from_a_store_that_is_kept_in_wal_mode(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")

        @contextlib.contextmanager
        def kept() -> Iterator[None]:
            with contextlib.closing(sqlite3.connect(self.folder / "data/porter.db", isolation_level=None)) as other:
                wait_until(lambda: _set_wal(other), "WAL mode")
                other.execute("SELECT * FROM accounts").fetchall()
                yield

        self.check(kept, can_read=False)

    def test_the_server_recovers_from_a_store_that_is_moved_away_and_back(self) -> None:
        server = self.start_process(mode="auth")
        self.begin(server, self.folder / "data")

        @contextlib.contextmanager
        def away() -> Iterator[None]:
            path = self.folder / "data/porter.db"
            os.replace(path, self.folder / "away.db")
            yield
            os.replace(self.folder / "away.db", path)

        self.check(away, can_read=False)


@needs_postgres
class PostgresFaults(Postgres, StoreTestCase):
    """PostgreSQL is there, and refuses what the server needs."""

    def setUp(self) -> None:
        super().setUp()
        self.add_role("servant")

    def try_to_log_in(self, server: ServerProcess) -> str:
        client = server.talk()
        client.give_token()
        kind, text = client.next()
        for answer in ("alice", "correct horse"):
            if kind in (Kind.ASK, Kind.SECRET):
                client.say(answer)
                kind, text = client.next()
        client.connection.close()
        return kind.value if kind is not Kind.ERROR else text

    def check(self, server: ServerProcess, refuse: str, allow: str) -> None:
        """Check that clients hear nothing false after `refuse`, in few lines of the log, and log in after `allow`."""
        server.talk().register("Alice")
        self.command(refuse)
        for _ in range(20):
            self.assertEqual(UNAVAILABLE, self.try_to_log_in(server))
        self.command(allow)
        start = time.monotonic()
        while (found := self.try_to_log_in(server)) != "SET-TOKEN":
            self.assertEqual(UNAVAILABLE, found)
            self.assertLess(time.monotonic() - start, RECOVERED_WITHIN)
        self.assertEqual((0, "", ""), server.stop())
        errors = [line for line in server.log().splitlines() if " ERROR " in line]
        clients = [line for line in errors if " cannot see which sessions " not in line]
        self.assertEqual(2, len(clients), clients)  # the first one, and the number of the others
        self.assertRegex(clients[1], r"\((19|\d\d) more times within 60 seconds\)$")
        self.assertLessEqual(len(errors), 4)
        self.assertNotRegex(server.log(), "Traceback|SELECT|INSERT INTO")

    def start(self) -> ServerProcess:
        return self.start_process(mode="auth", store=self.store_url("servant"))

    def test_the_server_recovers_from_rights_that_are_revoked(self) -> None:
        self.check(self.start(), "REVOKE ALL ON accounts FROM servant", "GRANT ALL ON accounts TO servant")

    def test_the_server_recovers_from_sessions_that_turned_read_only(self) -> None:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'servant'"
        self.check(
            self.start(),
            f"ALTER ROLE servant SET default_transaction_read_only = on; {end}",
            "ALTER ROLE servant RESET default_transaction_read_only",
        )

    def test_a_role_without_rights_is_one_line_and_status_69(self) -> None:
        self.command("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM servant")
        for mode in ("auth", "identify"):
            configuration = self.write_configuration(mode=mode, store=self.store_url("servant"))
            ended = run_program(self.folder, "server", "--config", str(configuration))
            self.assertEqual(69, ended.returncode, ended.stderr)
            self.assertEqual("", ended.stdout)
            self.assertRegex(ended.stderr, r"\A[^\n]*the store cannot be used: permission denied for table \w+\n\Z")
