"""--ca: a certificate that an authority has signed is trusted, also when it is renewed, and no other."""

import json
from pathlib import Path

from client.library import Access, Client
from client.trust import Endpoint
from common.errors import TrustError
from tests.client.authority import Authority
from tests.support import PorterTestCase, RunningServer, run_program


class Certified(PorterTestCase):
    tls = True

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder)
        self.authority.sign(self.folder / "data/tls")

    def client(self, server: RunningServer, *arguments: str, input: str = "") -> tuple[int, str, str]:
        command = ("client", "--port", str(server.port), *arguments)
        done = run_program(self.folder, *command, input=input)
        return done.returncode, done.stdout, done.stderr

    def kept(self, name: str) -> dict[str, str]:
        file = self.folder / "state/porter" / name
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def test_a_renewed_certificate_needs_neither_forget_nor_the_password(self) -> None:
        ca = ("--ca", str(self.authority.file))
        with self.server("auth") as server:
            registered = self.client(server, *ca, input="Alice\ncorrect horse\ncorrect horse\n")
            self.assertEqual((0, "Hello, Alice!\n", ""), registered)
            self.authority.sign(self.folder / "data/tls")
            server.service.apply(self.configuration(mode="auth"))
            self.assertEqual((0, "Hello, Alice!\nagain\n", ""), self.client(server, *ca, input="again\n"))
            self.assertEqual({}, self.kept("servers.json"))
            self.assertEqual([f"127.0.0.1:{server.port} certified"], list(self.kept("tokens.json")))
            forgotten = self.client(server, "--forget")
            self.assertEqual((0, {}), (forgotten[0], self.kept("tokens.json")))

    def test_a_token_that_was_given_under_a_fingerprint_is_not_sent_under_an_authority(self) -> None:
        with self.server("auth") as server:
            self.client(server, input="Alice\ncorrect horse\ncorrect horse\n")
            status, _, errors = self.client(server, "--ca", str(self.authority.file))
            self.assertEqual((77, True), (status, "Name [Alice]" in errors), errors)

    def test_another_authority_or_another_name_is_76_and_nothing_is_sent(self) -> None:
        for authority, address in ((Authority(self.folder, "another"), "127.0.0.1"), (self.authority, "127.0.0.9")):
            self.authority.sign(self.folder / "data/tls", address)
            with self.server("echo") as server:
                status, out, errors = self.client(server, "--ca", str(authority.file), input="hello\n")
                self.assertEqual((76, ""), (status, out))
                self.assertRegex(errors, r"(?s)\Aporter: .* is not trusted: .*Nothing was sent\.\n\Z")
                self.assertNotIn("message received", server.log.messages)

    def test_a_file_that_is_no_authority_is_wrong_usage(self) -> None:
        for file, said in (("missing.pem", "cannot be read"), (self.write("empty.pem", ""), "no certificate")):
            done = run_program(self.folder, "client", "--ca", str(file))
            self.assertEqual((64, True), (done.returncode, said in done.stderr), done.stderr)
        for more in (("--pin", "SHA256:" + "a" * 43), ("--no-tls",)):
            done = run_program(self.folder, "client", "--no-input", "--ca", str(self.authority.file), *more)
            self.assertEqual(64, done.returncode, done.stderr)

    def test_a_program_trusts_by_authority_too(self) -> None:
        with self.server("echo") as server:
            for host, wanted in (("127.0.0.1", None), ("localhost", TrustError)):
                server_ = Endpoint(host, server.port)
                if wanted is None:
                    with Client(server_, Access(ca=self.authority.file)) as client:
                        self.assertTrue(client.peer.is_certified)
                else:
                    self.assertRaises(wanted, Client, server_, Access(ca=Path(self.authority.file)))
