"""The signals of a server process: they stop it or reload it, and do nothing else."""

import contextlib
import os
import pathlib
import pty
import signal
import socket
import subprocess
import threading

from common.errors import ConnectionLost
from common.wire.framing import encode
from common.wire.kinds import Kind
from tests.endurance.faults import needs_mounts
from tests.support import PATIENCE, PorterTestCase, ServerProcess, scaled, send_bytes, wait_until


class Signals(PorterTestCase):
    def test_term_and_int_stop_with_status_0_and_the_log_has_each_event_in_order(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start_process("echo")
            client = server.connect()
            client.send_message("x")
            client.receive_message()
            client.close()
            server.wait_for_log("client disconnected")
            server.signal(number)
            self.assertEqual((0, "", ""), server.wait())
            events = ("server started, pid", "listening on", "client connected", "received", "sent", "disconnected")
            log = server.log()
            positions = [log.index(event) for event in (*events, "stopping", "server stopped")]
            self.assertEqual(sorted(positions), positions)
            self.assertIn(f"pid {server.process.pid}", log)
            (self.folder / "server.log").unlink()

    def test_the_port_is_free_at_once_after_a_stop(self) -> None:
        host = "127.0.0.97"  # no other test has a connection at this address
        first = self.start_process("echo", "--host", host)
        with socket.create_connection((host, first.port)):
            first.wait_for_log("client connected")
            first.stop()
        second = self.start_process("echo", "--host", host, "--port", str(first.port))
        self.assertEqual(first.port, second.port)

    def test_a_second_term_stops_at_once(self) -> None:
        server = self.start_process("echo", limits={"drain_timeout": 3600, "message_timeout": 3600})
        client = server.connect()
        send_bytes(client, b"\0\0")
        server.wait_for_log("client connected")
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        server.signal(signal.SIGTERM)
        self.assertEqual((0, "", ""), server.wait())
        self.assertIn("server stopped at once, 1 connections not finished", server.log())

    def test_a_reload_requested_during_the_start_is_done_after_it(self) -> None:
        handler = {"class": "tests.endurance.blocking:ImpatientHandler"}
        for workers in (1, 2):
            server = self.start_process("impatient", handlers={"impatient": handler}, workers=workers)
            server.wait_for_log("reloaded (")
            self.assertEqual((0, "", ""), server.stop())
            (self.folder / "server.log").unlink()

    def test_signals_at_any_moment_of_the_stop_change_nothing(self) -> None:
        for pause in (0, 0.01, 0.03, 0.06):
            server = self.start_process("echo")
            server.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(pause)
            server.signal(signal.SIGTERM)
            self.assertEqual((0, "", ""), server.wait())

    def test_a_client_that_never_pauses_does_not_delay_the_stop(self) -> None:
        server = self.start_process("echo", limits={"drain_timeout": 3600})
        client = server.connect()
        stop = threading.Event()
        flood = encode("x" * 50_000) * 4

        def send() -> None:
            with contextlib.suppress(ConnectionLost):
                while not stop.is_set():
                    send_bytes(client, flood)

        def read() -> None:
            with contextlib.suppress(OSError):
                while client.socket.recv(1_000_000):
                    pass

        threads = [threading.Thread(target=work) for work in (send, read)]
        for thread in threads:
            thread.start()
        server.wait_for_log("message sent")
        status = server.stop()
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual((0, "", ""), status)

    def test_an_unfinished_connection_is_cut_at_the_drain_timeout(self) -> None:
        server = self.start_process("echo", limits={"drain_timeout": scaled(0.2), "message_timeout": 3600})
        client = server.connect()
        send_bytes(client, b"\0\0")
        server.wait_for_log("client connected")
        self.assertEqual((0, "", ""), server.stop())
        self.assertIn("1 connections cut", server.log())

    def test_hup_applies_a_new_configuration_and_a_wrong_one_changes_nothing(self) -> None:
        server = self.start_process(mode="echo")
        self.write_configuration(mode="identify")
        server.signal(signal.SIGHUP)
        server.wait_for_log("reloaded (identify, no TLS)")
        server.talk().expect(Kind.ASK)
        self.write_configuration(mode="nosuch")
        server.signal(signal.SIGHUP)
        server.wait_for_log("not reloaded: ")
        self.assertIn("server.yaml:", server.log().rpartition("not reloaded: ")[2])
        server.talk().expect(Kind.ASK)
        self.write_configuration(mode="echo", tls={"enabled": True, "key": "/proc/none/key.pem"})
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("not reloaded") == 2, "the second refusal")
        self.write_configuration(logging=str(self.write("odd.yaml", "version: cfg://x.y\n")))
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("not reloaded") == 3, "the third refusal")
        server.talk().expect(Kind.ASK)
        self.assertEqual(0, server.stop()[0])

    def test_hup_keeps_a_mode_given_at_the_start_and_the_log_says_so(self) -> None:
        server = self.start_process("echo", mode="auth")
        self.write_configuration(mode="identify")
        server.signal(signal.SIGHUP)
        server.wait_for_log("the mode stays echo")
        client = server.connect()
        client.send_message("x")
        self.assertEqual("x", client.receive_message())

    def test_no_message_is_lost_during_many_reloads(self) -> None:
        server = self.start_process(mode="echo")
        client = server.connect()
        for number in range(10):
            server.signal(signal.SIGHUP)
            client.send_message(str(number))
            self.assertEqual(str(number), client.receive_message())
            fresh = server.connect()
            fresh.send_message("x")
            self.assertEqual("x", fresh.receive_message())
            fresh.close()
        self.assertEqual(0, server.stop()[0])

    def test_an_acknowledged_registration_survives_a_kill(self) -> None:
        server = self.start_process("auth")
        token = server.talk().register("Alice")
        server.process.kill()
        server.process.wait()
        again = self.start_process("auth")
        client = again.talk()
        client.give_token(token)
        client.expect(Kind.TEXT)


class Hangup(PorterTestCase):
    """The terminal on which the server was started is closed."""

    def setUp(self) -> None:
        super().setUp()
        self.master, terminal = pty.openpty()
        configuration = str(self.write_configuration())
        # stdin alone: the terminal is not the controlling one, so that the kernel sends no HUP of its own.
        self.running = ServerProcess(self, "echo", "--config", configuration, "--no-input", stdin=terminal)
        os.close(terminal)
        self.addCleanup(self.running.close)

    def test_a_hup_with_the_end_of_the_terminal_stops(self) -> None:
        os.close(self.master)
        self.running.signal(signal.SIGHUP)
        self.assertEqual((0, "", ""), self.running.wait())
        self.assertIn("the terminal is closed: HUP means the end", self.running.log())
        self.assertNotIn("reloaded", self.running.log())

    def test_a_hup_just_before_the_end_of_the_terminal_stops(self) -> None:
        self.running.signal(signal.SIGHUP)
        self.running.wait_for_log("reloaded (echo")
        os.close(self.master)
        self.assertEqual((0, "", ""), self.running.wait())
        self.assertIn("the terminal is closed: HUP means the end", self.running.log())

    def test_a_hup_long_after_the_end_of_the_terminal_reloads(self) -> None:
        os.close(self.master)
        self.running.wait_for_log("the terminal is closed, and no HUP came: from now on HUP is a reload")
        self.running.signal(signal.SIGHUP)
        self.running.wait_for_log("reloaded (echo")
        self.assertEqual((0, "", ""), self.running.stop())

    def test_a_hup_while_the_terminal_is_there_reloads(self) -> None:
        self.running.signal(signal.SIGHUP)
        self.running.wait_for_log("reloaded (echo")
        self.assertEqual((0, "", ""), self.running.stop())
        os.close(self.master)


@needs_mounts
class FirstProcess(PorterTestCase):
    """The first process of a container: the kernel drops each signal for which it has no handler."""

    def test_term_ends_it_also_during_the_start(self) -> None:
        handler = {"class": "tests.endurance.blocking:SlowHandler"}
        configuration = str(self.write_configuration(mode="slow", handlers={"slow": handler}))
        server = ServerProcess(
            self, "--config", configuration, wait=False, under=["unshare", "-Urpf", "--kill-child", "--mount-proc"]
        )
        self.addCleanup(server.close)
        server.wait_for_log("server started, pid 1,")
        children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGTERM)
        status, _, _ = server.wait()
        self.assertEqual(128 + signal.SIGTERM, status)
        self.assertNotIn("listening on", server.log())
