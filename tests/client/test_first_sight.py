"""The client as a program: which server it trusts, and what it sends to a server that it does not trust."""

from tests.client.test_commandline import Behaviour
from tests.support import PorterTestCase, outward_address


class Trusting(PorterTestCase):
    tls = True
    client = Behaviour.client

    def test_a_changed_certificate_ends_with_76_and_advice_and_nothing_is_sent(self) -> None:
        with self.server("echo") as server:
            port = server.port
            self.assertEqual(0, self.client(server, input="x\n")[0])
        for name in ("certificate.pem", "key.pem"):
            (self.folder / "data" / "tls" / name).unlink()
        with self.server("echo", port=port) as server:
            shown = server.service.description.partition("TLS ")[2].rstrip(")")
            for arguments in ([], ["--accept-new"]):
                status, out, errors = self.client(server, *arguments, input="secret\n")
                self.assertEqual((76, ""), (status, out))
                self.assertIn(f"./run.sh client --forget --host 127.0.0.1 --port {port}", errors)
                self.assertEqual(2, errors.count("SHA256:"))
                self.assertIn(shown, errors)
            self.assertFalse([line for line in server.log.messages if "received" in line])
            self.assertEqual(76, self.client(server, "--pin", "SHA256:" + "a" * 43, input="x\n")[0])
            self.assertEqual((0, "x\n", ""), self.client(server, "--pin", shown, input="x\n"))
            self.assertEqual((0, "x\n", ""), self.client(server, input="x\n"))
            self.assertEqual((0, f"127.0.0.1:{port} is forgotten\n", ""), self.client(server, "--forget"))
            self.assertEqual((0, f"nothing is stored for 127.0.0.1:{port}\n", ""), self.client(server, "--forget"))
            self.assertEqual((0, "x\n", ""), self.client(server, input="x\n"))

    def test_an_unknown_certificate_ends_with_76_unless_it_is_accepted_or_pinned(self) -> None:
        host = outward_address()
        if host is None:
            self.skipTest("this machine has no address but loopback")
        with self.server("echo", host=host) as server:
            status, out, errors = self.client(server, "--host", host, input="secret\n")
            self.assertEqual((76, ""), (status, out))
            self.assertIn("Nothing was sent", errors)
            server.log.wait_for("client disconnected")
            self.assertFalse([line for line in server.log.messages if "received" in line])
            shown = server.service.description.partition("TLS ")[2].rstrip(")")
            self.assertEqual(0, self.client(server, "--host", host, "--pin", shown, "--no-save", input="x\n")[0])
            self.assertEqual(76, self.client(server, "--host", host, input="x\n")[0])
            self.assertEqual(0, self.client(server, "--host", host, "--accept-new", input="x\n")[0])
            self.assertEqual(0, self.client(server, "--host", host, input="x\n")[0])

    def test_a_token_saved_over_tls_is_not_sent_in_clear(self) -> None:
        with self.server("auth") as server:
            port = server.port
            self.client(server, input="Alice\ncorrect horse\ncorrect horse\n")
        with self.server("auth", port=port, tls={"enabled": False}) as server:
            self.assertEqual(77, self.client(server, "--no-tls")[0])
            self.assertFalse([line for line in server.log.messages if "back with a token" in line])

    def test_a_disagreement_about_tls_is_reported(self) -> None:
        with self.server("echo") as server:
            status, _, errors = self.client(server, "--no-tls", input="x\n")
            self.assertEqual(69, status)
            self.assertIn("leave out --no-tls", errors)
        with self.server("echo", tls={"enabled": False}) as server:
            status, _, errors = self.client(server, input="x\n")
            self.assertEqual(76, status)
            self.assertIn("a server without TLS needs --no-tls", errors)
