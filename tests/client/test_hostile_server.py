"""The client against a hostile server: it takes little memory, ends on Ctrl-C, and reveals no secret."""

import json
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from client.tokens import WITHOUT_TLS
from common.wire.framing import encode
from common.wire.tls import server_context
from server.configuration.certificate import ensure
from tests.client.test_commandline import Behaviour
from tests.client.test_terminal import Screen
from tests.support import PATIENCE, PorterTestCase, environment, outward_address, run_program, wait_until

ENOUGH = 1_000_000
MOST_MEMORY = 200 * 1024  # KiB


class FloodingServer:
    """Sends `data` again and again to the one client that it accepts, until the client is gone."""

    def __init__(self, case: PorterTestCase, data: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port = self._listener.getsockname()[1]
        self._data = data
        self._thread = threading.Thread(target=self._flood, daemon=True)
        self._thread.start()
        case.addCleanup(self._thread.join, PATIENCE)
        self.has_sent_enough = threading.Event()

    def _flood(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        sent = 0
        with connection:
            try:
                while True:
                    sent += connection.send(self._data)
                    if sent >= ENOUGH:
                        self.has_sent_enough.set()
            except OSError:
                self.has_sent_enough.set()


FLOODS = {
    "small messages": encode("TEXT x") * 5000,
    "long messages": encode("TEXT " + "y" * 1_000_000),
    "escape sequences": encode("TEXT " + "\x1b" * 4_000_000),
    "questions": encode("ASK well? ") * 5000,
    "long questions": encode("ASK " + "?" * 4_000_000),
    "questions that grow": encode("ASK " + "\U000e0001" * 1000) * 100,
    "secrets": encode("SECRET well? ") * 5000,
    "long tokens": encode("SET-TOKEN " + "t" * 1000) * 100,
    "changing tokens": encode("SET-TOKEN a") * 2000 + encode("SET-TOKEN b") * 2000,
}


class HastyServer(threading.Thread):
    """Serves one client over TLS 1.2, and sends its first messages together with the end of the handshake."""

    def __init__(self, case: PorterTestCase, *texts: str) -> None:
        super().__init__()
        certificate, key = case.folder / "hasty.pem", case.folder / "hasty_key.pem"
        ensure(certificate, key)
        self._context = server_context(certificate, key)
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._texts = texts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        case.addCleanup(self._listener.close)
        case.addCleanup(self.join, PATIENCE)
        self.start()

    def run(self) -> None:
        connection, _ = self._listener.accept()
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(arrived, leaving, server_side=True)
        with connection:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(leaving.read())
                    arrived.write(connection.recv(16384))
            for text in self._texts:
                tls.write(encode(text))
            connection.sendall(leaving.read())
            while data := connection.recv(16384):
                arrived.write(data)


class EarlyMessages(PorterTestCase):
    def test_messages_that_come_with_the_handshake_are_shown_in_a_pipe(self) -> None:
        server = HastyServer(self, "TEXT at once", "TEXT and more")
        arguments = ("--port", server.port, "--no-input", "--accept-new")
        done = run_program(self.folder, "client", *arguments, input="bye\n")
        self.assertEqual("at once\nand more\n", done.stdout)

    def test_messages_that_come_with_the_handshake_are_shown_on_a_terminal(self) -> None:
        server = HastyServer(self, "TEXT at once", "ASK well? ")
        client = Screen(self, "--port", server.port, "--no-input", "--accept-new")
        client.wait_for("at once", "well?")
        client.type("\x03")
        self.assertEqual(130, client.status())


class OnTerminal(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()

    def screen(self, server: FloodingServer) -> Screen:
        return Screen(self, "--port", str(server.port), "--no-input", "--no-tls")

    def test_a_flood_takes_little_memory_and_ctrl_c_still_works(self) -> None:
        for name, data in FLOODS.items():
            with self.subTest(name):
                server = FloodingServer(self, data)
                client = self.screen(server)
                wait_until(lambda: client.lines() and server.has_sent_enough.is_set(), "the flood")  # noqa: B023
                self.assertLess(most_memory(client.child.pid), MOST_MEMORY)
                client.type("\x03")
                pressed = time.monotonic()
                self.assertEqual(130, client.status())
                self.assertLess(time.monotonic() - pressed, 5)

    def test_one_ctrl_c_is_enough_when_the_server_does_not_read(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.settimeout(PATIENCE)
            secret = str(self.write("password", "x" * 60_000 + "\n"))
            port = str(listener.getsockname()[1])
            client = Screen(self, "--port", port, "--no-input", "--no-tls", "--password-file", secret)
            connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            connection.sendall(encode("SECRET well? ") * 16)
            self.assertTrue(connection.recv(1, socket.MSG_PEEK))  # the client is sending a megabyte
            client.type("\x03")
            self.assertEqual(130, client.status())

    def test_a_server_that_asks_for_the_token_again_and_again_ends_the_client_with_76(self) -> None:
        client = self.screen(FloodingServer(self, encode("GET-TOKEN") * 5000))
        client.wait_for_line("the server asks again and again")
        self.assertEqual(76, client.status())


class InPipe(PorterTestCase):
    client = Behaviour.client

    def setUp(self) -> None:
        super().setUp()
        self.run_programs_without_coverage()

    def test_ctrl_c_works_during_a_flood(self) -> None:
        for name in ("small messages", "escape sequences", "questions"):
            with self.subTest(name):
                server = FloodingServer(self, FLOODS[name])
                with (self.folder / "output").open("wb") as output:
                    client = subprocess.Popen(
                        [sys.executable, "-P", "-m", "client", "--no-tls", "--port", str(server.port)],
                        env=environment(self.folder),
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=subprocess.PIPE,
                    )
                    self.addCleanup(client.kill)
                    self.assertTrue(server.has_sent_enough.wait(PATIENCE))
                    client.send_signal(signal.SIGINT)
                    _, errors = client.communicate(timeout=PATIENCE)
                self.assertEqual((130, b""), (client.returncode, errors))

    def test_a_long_message_of_escape_sequences_is_shown_whole_and_in_little_memory(self) -> None:
        server = FloodingServer(self, encode("TEXT " + "a\x1b" * 500_000) + encode("NONSENSE"))
        status, out, _ = run_client(self.folder, server.port)
        self.assertEqual(76, status)
        self.assertEqual("a\\x1b" * 500_000 + "\n", out)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, MOST_MEMORY)

    def test_an_announced_length_over_the_limit_ends_the_client_with_76_at_once(self) -> None:
        server = FloodingServer(self, b"\x0a\xff\xff\xff")
        status, out, errors = run_client(self.folder, server.port)
        self.assertEqual((76, ""), (status, out))
        self.assertIn("breaks the protocol", errors)

    def test_a_token_of_ten_megabytes_is_not_saved(self) -> None:
        server = FloodingServer(self, encode("SET-TOKEN " + "t" * 10_000_000) + encode("NONSENSE"))
        self.assertEqual(76, run_client(self.folder, server.port)[0])
        self.assertEqual([], [path.name for path in (self.folder / "state").rglob("*") if path.is_file()])

    @unittest.skipIf(outward_address() is None, "this machine has no address but loopback")
    def test_no_secret_and_no_token_leaves_this_machine_in_clear(self) -> None:
        host = str(outward_address())
        options = {"host": host, "tls": {"enabled": False, "allow_plain_login": True}}
        with self.server("auth", **options) as server:
            arguments = ["--host", host, "--password-file", str(self.write("password", "correct horse\n"))]
            kept = {f"{host}:{server.port} {WITHOUT_TLS}": "a token of an earlier time"}
            self.write("state/porter/tokens.json", json.dumps(kept))
            status, out, errors = self.client(server, *arguments, input="Alice\n")
            self.assertEqual((76, ""), (status, out))
            self.assertIn("asks for a secret without TLS", errors)
            server.log.wait_for("client disconnected")
            received = [line for line in server.log.messages if "received" in line]
            self.assertEqual(["TOKEN", "TEXT Alice"], [_text_of(line) for line in received])


def _text_of(line: str) -> str:
    """Return the message of this length: the log has only lengths."""
    length = int(line.rpartition("received, ")[2].split()[0])
    return {len("TOKEN"): "TOKEN", len("TEXT Alice"): "TEXT Alice"}.get(length, line)


def run_client(folder: Path, port: int) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "client", "--no-tls", "--port", str(port)],
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def most_memory(pid: int) -> int:
    """Return the most memory that a process has ever had, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
