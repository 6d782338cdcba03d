"""A server of several workers, from outside: one port, one log, common limits, and the death of a worker."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import PorterError
from common.wire.framing import encode
from common.wire.kinds import Kind
from tests.support import PATIENCE, PorterTestCase, ServerProcess, messages, scaled, send_bytes, wait_until


def links(pid: int) -> list[str]:
    """Return what each open descriptor of a process is."""
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


class Supervised(PorterTestCase):
    def workers(self, server: ServerProcess) -> list[int]:
        shown = subprocess.run(
            ["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False
        ).stdout
        return [int(pid) for pid in shown.split()]

    @contextlib.contextmanager
    def only(self, server: ServerProcess, worker: int) -> Iterator[None]:
        """Stop all other workers inside, so that this one serves every new connection."""
        others = set(self.workers(server)) - {worker}
        try:
            for other in others:
                os.kill(other, signal.SIGSTOP)
                wait_until(lambda other=other: _is_stopped(other), "a worker that is stopped with all its threads")
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def test_the_workers_share_one_port_and_one_log_and_stop_cleanly(self) -> None:
        server = self.start_process("echo", workers=3, tls={"enabled": False})
        self.assertEqual(3, len(self.workers(server)))
        clients = [server.connect() for _ in range(30)]
        for client in clients:
            client.send_message("hello")
        for client in clients:
            self.assertEqual("hello", client.receive_message())
        status, out, errors = server.stop()
        self.assertEqual((0, "", ""), (status, out, errors))
        for client in clients:
            self.assertEqual("ERROR the server is stopping", client.receive_message())
            client.close()
        log = server.log()
        self.assertEqual((30, 60), messages(log))  # with the farewells
        self.assertEqual(1, log.count("server started, pid "))
        self.assertEqual(1, log.count("server stopped"))
        self.assertEqual(3, log.count("worker stopped"))

    def test_a_killed_worker_costs_only_its_own_connections_and_is_replaced_within_a_second(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False}, limits={"max_connections": 8})
        before = set(self.workers(server))
        clients = []
        for worker in before:
            with self.only(server, worker):
                for _ in range(4):
                    clients.append(server.connect())
                    clients[-1].send_message("x")
                    clients[-1].receive_message()
        os.kill(worker, signal.SIGKILL)
        start = time.monotonic()
        wait_until(lambda: len(set(self.workers(server)) - before) == 1, "another worker")
        self.assertLess(time.monotonic() - start, 1)
        lost = 0
        for client in clients:
            try:
                client.send_message("still here")
                if client.receive_message() is None:
                    lost += 1
            except PorterError:
                lost += 1
        self.assertEqual(4, lost)
        for _ in range(lost):  # their slots are free again, and no others
            client = server.connect()
            client.send_message("new")
            self.assertEqual("new", client.receive_message())
            clients.append(client)
        refused = server.connect()
        self.assertEqual("ERROR the server is full, try again later", refused.receive_message())
        self.assertIn("was ended by signal 9", server.log())
        for client in [*clients, refused]:
            client.close()

    def test_the_limits_hold_exactly_across_the_workers(self) -> None:
        limits = {"max_connections_per_address": 10}
        server = self.start_process("echo", workers=2, tls={"enabled": False}, limits=limits)
        served = refused = 0
        clients = [server.connect() for _ in range(40)]
        for client in clients:
            try:
                client.send_message("x")
                answer = client.receive_message()
            except PorterError:
                answer = "lost"
            served += answer == "x"
            refused += answer == "ERROR too many connections from your address"
        self.assertEqual((10, 30), (served, refused))
        for client in clients:
            client.close()

    def test_a_session_of_one_worker_is_valid_in_all_workers(self) -> None:
        server = self.start_process(workers=2, tls={"enabled": False}, mode="auth")
        token = server.talk().register("ann", "correct horse")
        for worker in self.workers(server):
            with self.only(server, worker):
                client = server.talk()
                client.give_token(token)
                client.expect(Kind.TEXT, "Hello, ann!")

    def test_hup_reaches_all_workers_and_a_wrong_file_is_explained_once(self) -> None:
        server = self.start_process(workers=2, tls={"enabled": False}, mode="echo")
        self.write_configuration(workers=2, tls={"enabled": False}, mode="echo", limits={"max_message": 5})
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("reloaded (echo") == 2, "two reloads")
        for _ in range(6):
            client = server.connect()
            client.send_message("123456")
            self.assertIn("over the limit of 5", client.receive_message() or "")
            client.close()
        (self.folder / "server.yaml").write_text("moed: echo\n")
        server.signal(signal.SIGHUP)
        server.wait_for_log("not reloaded: ")
        self.assertEqual(1, server.log().count("unknown key"))

    def test_a_worker_started_after_a_reload_serves_like_the_others(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False})
        self.write_configuration(workers=3, cpu_affinity="off", tls={"enabled": False}, limits={"max_message": 5})
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("reloaded (echo") == 2, "two reloads")
        for key in ("workers", "cpu_affinity"):
            self.assertEqual(1, server.log().count(f"{key} has changed: restart the server to apply it"))
        before = self.workers(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(self.workers(server)) - set(before)) == 2, "other workers")
        client = server.connect()
        client.send_message("123456")
        self.assertIn("over the limit of 5", client.receive_message() or "")
        client.close()

    def test_of_64_connections_in_a_row_each_of_two_workers_gets_24_at_least(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False})
        clients = []
        for _ in range(64):
            clients.append(server.connect())
            clients[-1].send_message("x")
            self.assertEqual("x", clients[-1].receive_message())
        of_each = [sum("socket:" in link for link in links(pid)) for pid in self.workers(server)]
        self.assertLessEqual(max(of_each) - min(of_each), 64 - 2 * 24, of_each)
        for client in clients:
            client.close()

    def test_a_term_to_the_parent_and_to_each_worker_is_one_drain_and_cuts_nobody(self) -> None:
        # As systemd does by default, and docker stop with a process group.
        server = self.start_process("echo", workers=2, tls={"enabled": False}, limits={"drain_timeout": PATIENCE})
        clients = [server.connect() for _ in range(8)]
        frame = encode("a message that takes its time")
        for client in clients:
            send_bytes(client, frame[:7])
        wait_until(lambda: server.log().count("client connected") == 8, "the connections")
        for pid in (server.process.pid, *self.workers(server), *self.workers(server)):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: server.log().count("stopping, ") == 3, "the drain of all")
        for client in clients:
            send_bytes(client, frame[7:])
            self.assertEqual("a message that takes its time", client.receive_message())
        self.assertEqual((0, "", ""), server.wait())
        self.assertNotIn("at once", server.log())

    def test_a_term_to_one_worker_drains_it_alone_and_another_takes_its_place(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False})
        before = self.workers(server)
        os.kill(before[0], signal.SIGTERM)
        wait_until(lambda: len(set(self.workers(server)) - set(before)) == 1, "another worker")
        self.assertEqual((0, "", ""), server.stop())
        self.assertNotIn("was ended by signal", server.log())

    def test_a_hup_to_a_worker_is_left_to_the_parent(self) -> None:
        server = self.start_process("echo", workers=2)
        for pid in (*self.workers(server), server.process.pid):
            os.kill(pid, signal.SIGHUP)
        wait_until(lambda: server.log().count("reloaded (echo") == 2, "two reloads")
        self.assertEqual((0, "", ""), server.stop())
        self.assertEqual(2, server.log().count("reloaded (echo"))

    def test_when_the_parent_is_killed_the_port_is_free_before_the_connections_end(self) -> None:
        server = self.start_process("echo", workers=2, tls={"enabled": False}, limits={"drain_timeout": PATIENCE})
        server.process.kill()
        server.process.wait(PATIENCE)

        def is_refused() -> bool:
            with socket.socket() as other:
                return other.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED

        start = time.monotonic()
        wait_until(is_refused, "a port that nobody listens on")
        self.assertLess(time.monotonic() - start, scaled(0.5))

    def test_the_reason_why_a_worker_cannot_start_is_printed_and_gives_the_status(self) -> None:
        path = self.write_configuration(workers=2, mode="auth", store=f"sqlite:///{self.folder}/file/porter.db")
        (self.folder / "file").write_text("")
        server = ServerProcess(self, "--config", str(path), wait=False)
        _, errors = server.process.communicate(timeout=PATIENCE)
        self.assertEqual(69, server.process.returncode, errors)
        self.assertIn("porter: ", errors)
        server.close()

    def test_the_threads_of_each_worker_share_a_core_unless_this_is_turned_off(self) -> None:
        for setting, count in (("auto", 1), ("off", len(os.sched_getaffinity(0)))):
            server = self.start_process("echo", workers=2, cpu_affinity=setting, tls={"enabled": False})
            for pid in self.workers(server):
                wait_until(
                    lambda pid=pid, count=count: len(_cores_of_threads(pid)) == count, "threads that are placed"
                )
            server.stop()


def _is_stopped(pid: int) -> bool:
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def _cores_of_threads(pid: int) -> set[int]:
    """Return on which cores a thread of a process may run, other than its main one."""
    threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]
    return set[int]().union(*map(os.sched_getaffinity, threads))
