"""Tokens, like cookies: each belongs to host, port and certificate."""

from client.state import StateFolder
from client.tokens import WITHOUT_TLS, Tokens, forget
from client.trust import Peer, Server
from tests.support import PorterTestCase

SERVER = Server("example.org", 9090)


class TokenTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.state = StateFolder(self.folder / "state")

    def tokens(
        self,
        server: Server = SERVER,
        certificate: str = "SHA256:x",
        *,
        saves: bool = True,
        is_private: bool = True,
    ) -> Tokens:
        return Tokens(self.state, Peer(server, certificate, is_private), saves=saves)

    def test_a_token_is_there_for_the_next_run(self) -> None:
        self.tokens().set("abc")
        self.assertEqual("abc", self.tokens().get())

    def test_it_is_for_no_other_host_port_or_certificate_and_never_in_clear(self) -> None:
        self.tokens().set("abc")
        for server, certificate in (
            (Server("example.com", 9090), "SHA256:x"),
            (Server("example.org", 9091), "SHA256:x"),
            (SERVER, "SHA256:y"),
            (SERVER, WITHOUT_TLS),
        ):
            self.assertEqual("", self.tokens(server, certificate).get())

    def test_where_others_can_listen_none_is_sent_or_kept(self) -> None:
        self.tokens(certificate=WITHOUT_TLS).set("abc")
        exposed = self.tokens(certificate=WITHOUT_TLS, is_private=False)
        self.assertEqual("", exposed.get())
        exposed.set("def")
        exposed.set("")
        self.assertEqual("abc", self.tokens(certificate=WITHOUT_TLS).get())

    def test_an_empty_one_forgets(self) -> None:
        self.tokens().set("")
        self.tokens().set("abc")
        self.tokens().set("")
        self.assertEqual("", self.tokens().get())

    def test_without_saving_it_lives_as_long_as_the_client(self) -> None:
        tokens = self.tokens(saves=False)
        tokens.set("abc")
        self.assertEqual(("abc", ""), (tokens.get(), self.tokens().get()))
        self.assertFalse((self.folder / "state").exists())

    def test_one_of_absurd_length_is_not_kept(self) -> None:
        self.tokens().set("x" * 10_000_000)
        self.assertEqual("", self.tokens().get())

    def test_what_is_no_token_in_the_file_is_none(self) -> None:
        self.state.update("tokens.json", lambda kept: kept.update({f"{SERVER} SHA256:x": 5}))
        self.assertEqual("", self.tokens().get())

    def test_all_of_a_server_are_dropped_at_once_and_none_of_another(self) -> None:
        other = Server("example.org", 90)
        for server in (SERVER, other):
            for certificate in ("SHA256:x", WITHOUT_TLS):
                self.tokens(server, certificate).set("abc")
        self.assertEqual([True, False], [forget(self.state, SERVER) for _ in range(2)])
        self.assertEqual(("", "abc"), (self.tokens().get(), self.tokens(other).get()))
