"""Three servers behind HAProxy, on one PostgreSQL behind PgBouncer, through everything that happens to a fleet.

Clients that come back talk in rooms meanwhile: 60 of them, and with `./run.sh test --long` 1,000. Afterwards no line
that was acknowledged is missing, nobody was asked for a password, and all were back within ten seconds each time.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import text

from client.library import Access, Client
from client.trust import Endpoint
from common.errors import NotPermitted, PorterError
from common.wire.kinds import Kind
from server.store.database import Store
from tests.client.authority import Authority
from tests.server.monitoring.test_monitoring import free_port, metrics_at
from tests.server.store_case import Pgbouncer, StoreTestCase, needs_pgbouncer, restart_postgres
from tests.support import PATIENCE, QUICK_HASHES, ServerProcess, scaled, wait_until

HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
IS_LONG = bool(os.environ.get("PORTER_LONG_TESTS"))
MEMBERS = 1000 if IS_LONG else 60
PAUSE = 5.0 if IS_LONG else 0.5  # seconds between two lines of a member
IN_A_ROOM = 10
BACK_WITHIN = scaled(10.0)


class Member(threading.Thread):
    """A client that says numbered lines in its room, waits for each to come back, and reconnects when it is lost."""

    def __init__(self, number: int, server: Endpoint, access: Access, stop: threading.Event) -> None:
        super().__init__(name=f"member {number}")
        self.acknowledged: list[str] = []
        self.latest = 0.0
        self.losses = 0
        self.asked = 0
        self.failure: BaseException | None = None
        self._number = number
        self._name = f"member{number}"
        self._server = server
        self._access = access
        self._over = stop

    def run(self) -> None:
        try:
            client = self._register()
            self._enter(client)
            while not self._over.is_set():
                try:
                    self._say(client)
                except PorterError:
                    self.losses += 1
                    self._come_back(client)
            client.close()
        except BaseException as error:
            self.failure = error

    def _register(self) -> Client:
        """Return a client that is in. All register at once: a server that is busy for a moment is asked again."""
        while True:
            client = Client(self._server, self._access, timeout=20.0)
            try:
                client.register(self._name, "correct horse")
                return client
            except NotPermitted:
                client.close()
                if self._over.wait(0.5):
                    raise

    def _enter(self, client: Client) -> None:
        client.send(f"/join room-{self._number // IN_A_ROOM}")

    def _say(self, client: Client) -> None:
        line = f"{self._name}: {len(self.acknowledged)}"
        client.send(str(len(self.acknowledged)))
        while (said := client.receive()).text != line:
            if said.kind is Kind.ERROR and "was not said" in said.text:
                self._over.wait(0.2)
                return
        self.acknowledged.append(line)
        self.latest = time.monotonic()
        self._over.wait(PAUSE)

    def _come_back(self, client: Client) -> None:
        while not self._over.is_set():
            client.reconnect()
            with suppress(PorterError):  # lost again: the server that took it was about to end
                if client.resume() is None:
                    self.asked += 1
                    client.log_in(self._name, "correct horse")
                self._enter(client)
                return


@needs_pgbouncer
@unittest.skipIf(HAPROXY is None, "HAProxy is not installed")
class Fleet(Pgbouncer, StoreTestCase):
    pool = 20
    tls = True

    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()
        self.authority = Authority(self.folder)
        self.authority.sign(self.folder / "data/tls")
        self.ports = [(free_port(), free_port()) for _ in range(3)]
        self.servers = [self.start(number) for number in range(3)]
        self.front = self.start_haproxy()
        self.stop = threading.Event()
        self.all_said = threading.Event()
        self.heard: set[str] = set()
        self.times: dict[str, float] = {}

    def start(self, number: int) -> ServerProcess:
        port, watch = self.ports[number]
        return self.start_process(
            name=f"server{number}.yaml",
            mode="chat",
            port=port,
            port_taken="fail",
            store=self.store_url(),
            control=str(self.folder / f"control{number}"),
            monitoring={"address": f"127.0.0.1:{watch}"},
            proxy_protocol={"trusted": ["127.0.0.1"]},
            limits={"max_connections": 3000, "max_connections_per_address": 3000, "drain_timeout": 5},
            registration_limits={"per_address_per_hour": 5000},
            handlers={"chat": {"options": QUICK_HASHES}},
        )

    def start_haproxy(self) -> int:
        front = free_port()
        servers = "\n".join(
            f"    server s{number} 127.0.0.1:{port} port {watch} no-check-send-proxy"
            for number, (port, watch) in enumerate(self.ports)
        )
        written = (Path(__file__).parents[2] / "deploy/haproxy.cfg").read_text()
        written = written.replace("maxconn 20000", "maxconn 4000")
        written = written.replace("bind :9090", f"bind 127.0.0.1:{front}").replace(
            "    default-server port 9190 ", "    #"
        )
        written = "\n".join(line for line in written.splitlines() if not line.startswith("    server "))
        configuration = self.write("haproxy.cfg", f"{written}\n{servers}\n")
        assert HAPROXY is not None
        process = subprocess.Popen([HAPROXY, "-f", str(configuration)], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def is_there() -> bool:
            with socket.socket() as trial:
                return trial.connect_ex(("127.0.0.1", front)) == 0

        wait_until(is_there, "HAProxy")
        return front

    def collect(self) -> None:
        """Read what is said from the database, before it is trimmed."""
        store, number = Store(self.store_url(), 1), 0
        rows = text("SELECT number, text FROM bus_entries WHERE number > :number ORDER BY number")
        is_over = False
        while not is_over:
            is_over = self.all_said.wait(0.3)  # set when no member says any more
            with suppress(PorterError), store.reading() as transaction:
                for row in transaction.execute(rows, {"number": number}):
                    number = row.number
                    event = json.loads(bytes(row.text) or b"[]")
                    if event[:1] == ["said"]:
                        self.heard.add(event[2])
        store.close()

    def all_back(self, what: str, act: Callable[[], object]) -> None:
        """Do something to the fleet, and wait until everybody has had a line acknowledged since."""
        act()
        done = time.monotonic()
        wait_until(lambda: self.failures() or min(m.latest for m in self.members) > done + PAUSE, f"all after {what}")
        self.assertEqual([], self.failures())
        first = max(m.latest for m in self.members) - done - PAUSE
        self.times[what] = first
        self.assertLess(first, BACK_WITHIN + PAUSE, what)

    def failures(self) -> list[BaseException]:
        return [member.failure for member in self.members if member.failure is not None]

    def test_nothing_is_lost_through_all_that_happens_to_a_fleet(self) -> None:
        wait_until(lambda: len(metrics_at(self.ports[2][1])) > 0, "the servers")
        access = Access(ca=self.authority.file)
        self.members = [
            Member(number, Endpoint("127.0.0.1", self.front), access, self.stop) for number in range(MEMBERS)
        ]
        collector = threading.Thread(target=self.collect)
        collector.start()
        try:
            for member in self.members:
                member.start()
            self.all_back("the start", lambda: None)
            self.all_back("kill -9 of a server", self.kill_one)
            self.all_back("TERM to a server", self.end_one)
            self.all_back("a restart of the database", restart_postgres)
            self.all_back("a new certificate", self.renew)
            self.all_back("an upgrade of the tables", self.upgrade)
            connections = sum(metrics_at(watch)["porter_connections"] for _, watch in self.ports)
            resumes = sum(metrics_at(watch)["porter_logins_total{outcome=token}"] for _, watch in self.ports)
            self.assertEqual(MEMBERS, connections)
            self.assertGreater(resumes, 0)
        finally:
            self.stop.set()
            for member in self.members:
                member.join(PATIENCE)
            self.all_said.set()
            collector.join(PATIENCE)
        said = {line for member in self.members for line in member.acknowledged}
        self.assertGreater(len(said), 5 * MEMBERS)
        self.assertEqual(set(), said - self.heard)
        self.assertEqual(0, sum(member.asked for member in self.members))
        losses = sum(member.losses for member in self.members)
        self.assertGreaterEqual(losses, MEMBERS // 4)
        print({what: round(seconds, 1) for what, seconds in self.times.items()}, f"{losses} reconnections")
        for server in self.servers:
            self.assertEqual(0, server.stop()[0])
        log = (self.folder / "server.log").read_text()
        self.assertNotIn("Traceback", log)

    def kill_one(self) -> None:
        self.servers[0].signal(signal.SIGKILL)
        self.servers[0].wait()
        self.servers[0] = self.start(0)

    def end_one(self) -> None:
        before = metrics_at(self.ports[1][1])["porter_messages_total{direction=received}"]
        self.assertGreater(before, 0)
        self.servers[1].signal(signal.SIGTERM)
        self.assertEqual(0, self.servers[1].wait()[0])
        self.servers[1] = self.start(1)

    def renew(self) -> None:
        self.authority.sign(self.folder / "data/tls")
        for server in self.servers:
            server.signal(signal.SIGHUP)
        self.servers[2].signal(signal.SIGTERM)  # its clients meet the new certificate
        self.assertEqual(0, self.servers[2].wait()[0])
        self.servers[2] = self.start(2)

    def upgrade(self) -> None:
        """Do what the next version may do while the servers of this one run: add."""
        with closing(Store(self.store_url())) as store, store.writing() as transaction:
            transaction.exec_driver_sql("ALTER TABLE sessions ADD COLUMN IF NOT EXISTS note text NOT NULL DEFAULT ''")
            transaction.exec_driver_sql("CREATE TABLE IF NOT EXISTS next_version (number bigint)")
