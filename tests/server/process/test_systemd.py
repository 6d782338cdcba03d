"""What the service manager is told, at a socket in its place, and the socket that it hands down."""

import os
import re
import signal
import socket
import subprocess
import sys
from typing import ClassVar
from unittest import mock

from server.process import systemd
from tests.support import PATIENCE, PorterTestCase, ServerProcess, environment

PYTHON = sys.executable


class Manager(socket.socket):
    """The socket at which a service manager hears its services."""

    def __init__(self, case: PorterTestCase, name: str) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.close)
        self.bind(name)
        self.settimeout(PATIENCE)

    def hear(self) -> str:
        return re.sub(r"\d{4,}", "N", self.recv(1000).decode())


class Behaviour(PorterTestCase):
    workers: ClassVar[int] = 1

    def start(self, **more: str) -> tuple[Manager, ServerProcess]:
        path = str(self.folder / "notify")
        manager = Manager(self, path)
        self.enterContext(mock.patch.dict(os.environ, {"NOTIFY_SOCKET": path, **more}))
        return manager, self.start_process("echo", workers=self.workers, tls={"enabled": False})


class Alone(Behaviour):
    def test_start_reload_and_stop_are_told(self) -> None:
        manager, server = self.start()
        self.assertEqual("READY=1", manager.hear())
        server.signal(signal.SIGHUP)
        self.assertEqual(["RELOADING=1\nMONOTONIC_USEC=N", "READY=1"], [manager.hear() for _ in range(2)])
        server.signal(signal.SIGTERM)
        self.assertEqual("STOPPING=1", manager.hear())
        self.assertEqual(0, server.wait()[0])

    def test_the_watchdog_hears_a_server_that_turns(self) -> None:
        manager, server = self.start(WATCHDOG_USEC="200000")
        self.assertEqual(["READY=1", *["WATCHDOG=1"] * 3], [manager.hear() for _ in range(4)])
        self.assertEqual(0, server.stop()[0])


class WithWorkers(Alone):
    workers = 2

    def test_the_watchdog_hears_nothing_of_a_worker_that_hangs(self) -> None:
        manager, server = self.start(WATCHDOG_USEC="200000")
        manager.hear()
        parent = server.process.pid
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
            worker = int(children.read().split()[0])
        os.kill(worker, signal.SIGSTOP)
        manager.settimeout(2.0)
        with self.assertRaises(TimeoutError):
            while True:
                self.assertEqual("WATCHDOG=1", manager.hear())
        os.kill(worker, signal.SIGCONT)


class Sockets(PorterTestCase):
    def test_the_socket_that_is_handed_down_is_listened_on_and_stays(self) -> None:
        for workers in (1, 2):
            self.check(workers)

    def test_passwords_are_not_taken_in_clear_from_others_on_a_socket_that_is_handed_down(self) -> None:
        path = str(self.write_configuration(mode="auth", tls={"enabled": False}))
        with socket.create_server(("0.0.0.0", 0)) as listener:
            os.dup2(listener.fileno(), 30)
            ended = subprocess.run(
                ["bash", "-c", f'exec 3<&30; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m server --config {path}', PYTHON],
                cwd=self.folder,
                env=environment(self.folder),
                pass_fds=[30],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            os.close(30)
        self.assertEqual((78, ""), (ended.returncode, ended.stdout))
        self.assertIn("passwords would cross the network unencrypted on 0.0.0.0", ended.stderr)

    def check(self, workers: int) -> None:
        path = str(self.write_configuration(mode="echo", port=1, port_taken="fail", workers=workers))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            os.dup2(listener.fileno(), 30)
            child = subprocess.Popen(
                ["bash", "-c", f'exec 3<&30; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m server --config {path}', PYTHON],
                cwd=self.folder,
                env=environment(self.folder),
                pass_fds=[30],
                stdout=subprocess.PIPE,
                text=True,
            )
            os.close(30)
            self.addCleanup(child.communicate)
            self.addCleanup(child.kill)
            assert child.stdout is not None
            self.assertIn(f"127.0.0.1:{listener.getsockname()[1]} ", child.stdout.readline())
            child.send_signal(signal.SIGTERM)
            child.wait(PATIENCE)
            with socket.create_connection(listener.getsockname(), PATIENCE):
                pass  # it listens on, for the next server

    def test_a_socket_for_another_process_is_not_taken(self) -> None:
        mine = str(os.getpid())
        for count, pid in (("", ""), ("1", "1"), ("x", mine), ("0", mine)):
            self.assertIsNone(systemd.handed_socket({"LISTEN_FDS": count, "LISTEN_PID": pid}))

    def test_a_manager_that_is_not_there_costs_nothing(self) -> None:
        for address in ("", "relative", str(self.folder / "missing"), "@porter-nobody"):
            with mock.patch.dict(os.environ, {"NOTIFY_SOCKET": address}):
                systemd.notify("READY=1")
