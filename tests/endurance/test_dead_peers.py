"""A silently lost peer is found by probes that get no answer: the network goes down."""

import shutil
import subprocess
import sys
import time
import unittest

from tests.endurance import LONG
from tests.endurance.faults import threads
from tests.support import PorterTestCase

FOUND_WITHIN = 90.0  # seconds: 60 idle, then a probe every 10 until one has had no answer for 30

CLIENT = """
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b"\\0\\0\\0\\2hi")
print(client.recv(6) == b"\\0\\0\\0\\2hi", flush=True)
sys.stdin.read()
"""


@unittest.skipUnless(LONG, "it takes a minute: ./run.sh test --long")
@unittest.skipUnless(shutil.which("ip") and shutil.which("unshare"), "needs unshare and ip")
class DeadPeers(PorterTestCase):
    def test_a_peer_whose_network_is_down_is_disconnected_within_90_seconds(self) -> None:
        network = [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            'ip link set lo up && exec "$@"',
            "sh",
        ]
        server = self.start_process("echo", under=network)
        pid = server.process.pid
        before = threads(pid)
        inside = ["nsenter", "--target", str(pid), "--user", "--net", "--preserve-credentials"]
        client = subprocess.Popen(
            [*inside, sys.executable, "-c", CLIENT, str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        self.assertEqual(b"True\n", client.stdout.readline())
        subprocess.run([*inside, "ip", "link", "set", "lo", "down"], check=True)
        start = time.monotonic()
        while "client disconnected" not in server.log():
            self.assertLess(time.monotonic() - start, FOUND_WITHIN)
            self.assertFalse(self.has_ended(client))
        self.assertIn("connection lost: Connection timed out", server.log())
        self.assertLessEqual(threads(pid), before + 1)
        client.kill()
        client.communicate()

    def has_ended(self, client: "subprocess.Popen[bytes]") -> bool:
        try:
            client.wait(1)
        except subprocess.TimeoutExpired:
            return False
        return True
