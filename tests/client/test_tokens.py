"""Tokens, which work like cookies: each belongs to a host, a port and a certificate."""

from client.state import State, StateFolder
from client.tokens import WITHOUT_TLS, Tokens, forget
from client.trust import Endpoint, Peer
from tests.support import PorterTestCase

SERVER = Endpoint("example.org", 9090)


class TokenTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.state_folder = StateFolder(self.folder / "state")

    def tokens(
        self,
        server: Endpoint = SERVER,
        certificate: str = "SHA256:x",
        *,
        saves: bool = True,
        is_private: bool = True,
    ) -> Tokens:
        return Tokens(State(self.state_folder, self.fail, saves=saves), Peer(server, certificate, is_private))

    def test_a_token_is_saved_for_the_next_run(self) -> None:
        self.tokens().set("abc")
        self.assertEqual("abc", self.tokens().get())

    def test_a_token_is_only_sent_to_its_own_host_port_and_certificate(self) -> None:
        self.tokens().set("abc")
        for server, certificate in (
            (Endpoint("example.com", 9090), "SHA256:x"),
            (Endpoint("example.org", 9091), "SHA256:x"),
            (SERVER, "SHA256:y"),
            (SERVER, WITHOUT_TLS),
        ):
            self.assertEqual("", self.tokens(server, certificate).get())

    def test_no_token_is_sent_or_saved_where_others_can_listen(self) -> None:
        self.tokens(certificate=WITHOUT_TLS).set("abc")
        exposed = self.tokens(certificate=WITHOUT_TLS, is_private=False)
        self.assertEqual("", exposed.get())
        exposed.set("def")
        exposed.set("")
        self.assertEqual("abc", self.tokens(certificate=WITHOUT_TLS).get())

    def test_an_empty_token_deletes_the_saved_one(self) -> None:
        self.tokens().set("")
        self.tokens().set("abc")
        self.tokens().set("")
        self.assertEqual("", self.tokens().get())

    def test_a_token_that_is_not_saved_lives_as_long_as_the_client(self) -> None:
        tokens = self.tokens(saves=False)
        tokens.set("abc")
        self.assertEqual(("abc", ""), (tokens.get(), self.tokens().get()))
        self.assertFalse((self.folder / "state").exists())

    def test_a_token_of_absurd_length_is_not_saved(self) -> None:
        self.tokens().set("x" * 10_000_000)
        self.assertEqual("", self.tokens().get())

    def test_an_entry_of_the_file_that_is_no_token_is_ignored(self) -> None:
        self.state_folder.update("tokens.json", lambda kept: kept.update({f"{SERVER} SHA256:x": 5}))
        self.assertEqual("", self.tokens().get())

    def test_forget_deletes_all_tokens_of_one_server_only(self) -> None:
        other = Endpoint("example.org", 90)
        for server in (SERVER, other):
            for certificate in ("SHA256:x", WITHOUT_TLS):
                self.tokens(server, certificate).set("abc")
        self.assertEqual([True, False], [forget(self.state_folder, SERVER) for _ in range(2)])
        self.assertEqual(("", "abc"), (self.tokens().get(), self.tokens(other).get()))
