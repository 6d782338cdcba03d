"""The keys of TLS for teaching: server and client write them where SSLKEYLOGFILE says, and say so loudly."""

import os
from unittest import mock

from tests.support import PorterTestCase, run_program


class Keys(PorterTestCase):
    tls = True

    def test_both_sides_write_the_keys_and_say_so(self) -> None:
        file = str(self.folder / "keys")
        with mock.patch.dict(os.environ, {"SSLKEYLOGFILE": file}), self.server("echo") as server:
            log = (self.folder / "server.log").read_text()
            self.assertIn(f"WARNING - THE KEYS OF TLS ARE WRITTEN TO {file} (SSLKEYLOGFILE)", log)
            server.connect().close()
            self.assertIn("CLIENT_HANDSHAKE_TRAFFIC_SECRET", self.keys())
        os.remove(file)
        with self.server("echo") as server:
            done = run_program(self.folder, "client", "--port", str(server.port), input="hello\n", SSLKEYLOGFILE=file)
            self.assertEqual((0, "hello\n"), (done.returncode, done.stdout), done.stderr)
            self.assertIn("CLIENT_HANDSHAKE_TRAFFIC_SECRET", self.keys())

    def test_a_file_that_cannot_be_written_costs_a_warning(self) -> None:
        with (
            mock.patch.dict(os.environ, {"SSLKEYLOGFILE": str(self.folder / "no/keys")}),
            self.server("echo") as server,
        ):
            client = server.connect()
            client.send_message("served")
            self.assertEqual("served", client.receive_message())
            self.assertIn("cannot be written to", (self.folder / "server.log").read_text())

    def keys(self) -> str:
        return (self.folder / "keys").read_text()
