"""docs/wire.md with real captures, and the dissector with messages that are cut, joined, long, and inside TLS."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import unittest
from collections.abc import Iterator
from pathlib import Path

from common import PROJECT_ROOT
from common.wire.framing import encode
from tests import transcript
from tests.support import PATIENCE, PorterTestCase, wait_until

CAN_CAPTURE = os.geteuid() == 0 and shutil.which("tshark") and shutil.which("tcpdump")
needs_capture = unittest.skipUnless(CAN_CAPTURE, "to capture takes root, tshark and tcpdump")
DISSECTOR = PROJECT_ROOT / "examples/porter.lua"


_LAST = b"that was all"


@contextlib.contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Write what goes over a port inside into a file, up to a datagram that says that it was all."""
    # In this mode a packet takes 256 KiB of the buffer: by default there is room for eight.
    command = ["tcpdump", "-U", "--immediate-mode", "-B", "65536", "-i", "lo", "-w", str(file), f"port {port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr is not None
        while "listening on" not in (line := capture.stderr.readline()):
            if not line:
                raise AssertionError("tcpdump has ended")
        yield
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(_LAST, ("127.0.0.1", port))
        wait_until(lambda: _LAST in file.read_bytes(), "the capture to be complete")
        capture.terminate()
        capture.communicate(timeout=PATIENCE)


def dissected(file: Path, port: int, *options: str) -> list[str]:
    """Return length, kind and text of each message that went to a port."""
    command = ["tshark", "-r", str(file), "-X", f"lua_script:{DISSECTOR}", "-o", f"porter.port:{port}", *options]
    command += ["-Y", f"porter and tcp.dstport == {port}", "-T", "fields"]
    command += ["-e", "porter.length", "-e", "porter.kind", "-e", "porter.text"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [" ".join(line.split("\t")) for line in done.stdout.splitlines()]


@needs_capture
class Page(PorterTestCase):
    def test_the_page_shows_what_goes_over_the_wire(self) -> None:
        self.run_programs_without_coverage()
        page = (PROJECT_ROOT / "docs/wire.md").read_text()
        self.assertGreater(transcript.play(page, self.folder, "C"), 12)


class Messages(PorterTestCase):
    def connection(self, port: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if not self.tls:
            return client
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.keylog_filename = str(self.folder / "keys")
        return context.wrap_socket(client)

    def seen(self, *pieces: bytes) -> list[str]:
        """Send pieces, each after the echo of what is complete, and return what the dissector sees of them."""
        file = self.folder / "capture"
        with self.server("echo") as server:
            with captured(server.port, file), self.connection(server.port) as client:
                sent = b"".join(pieces)
                for piece in pieces:
                    client.sendall(piece)
                with client.makefile("rb") as answers:
                    self.assertEqual(sent, answers.read(len(sent)))
            return dissected(file, server.port, "-o", f"tls.keylog_file:{self.folder}/keys")

    def test_kinds_and_texts_are_seen(self) -> None:
        for text, wanted in (
            ("TEXT привет", "17 TEXT привет"),
            ("TOKEN", "5 TOKEN "),
            ("TEXTILE", "7  TEXTILE"),
            ("", "0  "),
        ):
            self.assertEqual([wanted], self.seen(encode(text)))

    def test_messages_that_travel_together_are_told_apart(self) -> None:
        self.assertEqual(["8,8 TEXT,TEXT one,two"], self.seen(encode("TEXT one") + encode("TEXT two")))

    def test_a_message_in_pieces_is_put_together(self) -> None:
        whole = encode("TEXT in pieces")
        self.assertEqual(["14 TEXT in pieces"], self.seen(*(bytes([byte]) for byte in whole)))

    def test_a_long_message_is_put_together(self) -> None:
        self.assertEqual(
            [f"60000 TEXT {'x' * 59_995}"[:60]], [line[:60] for line in self.seen(encode("TEXT " + "x" * 59_995))]
        )


@needs_capture
class Plain(Messages):
    pass


@needs_capture
class Secure(Messages):
    tls = True


del Messages  # it is no test of its own
