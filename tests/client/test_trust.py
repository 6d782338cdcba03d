"""Which certificate the client trusts: a first one, later the same one, and never a changed one by itself."""

from client.state import State, StateFolder
from client.trust import Endpoint, Policy, Trust, checked_pin, forget
from common.errors import TrustError, UsageError
from tests.support import PorterTestCase

SERVER = Endpoint("example.org", 9090)
FIRST, SECOND = "SHA256:" + "a" * 43, "SHA256:" + "b" * 43
PIPE = Policy()


class TrustTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.state = StateFolder(self.folder / "state")
        self.trust = Trust(State(self.state, self.fail))
        self.asked: list[str] = []

    def check(self, presented: str, policy: Policy = PIPE, *, is_loopback: bool = False) -> None:
        self.trust.check(SERVER, presented, is_loopback=is_loopback, policy=policy)

    def asking(self, answer: bool) -> Policy:
        def confirm(server: str, presented: str) -> bool:
            self.asked.append(f"{server} {presented}")
            return answer

        return Policy(confirm=confirm)

    def known(self) -> object:
        return self.state.read("servers.json").get(str(SERVER))

    def test_an_unknown_certificate_is_refused_in_a_pipe_with_advice(self) -> None:
        with self.assertRaises(TrustError) as caught:
            self.check(FIRST)
        for part in (FIRST, "--pin", "--accept-new", "Nothing was sent"):
            self.assertIn(part, str(caught.exception))
        self.assertIsNone(self.known())

    def test_a_loopback_certificate_is_trusted_without_a_question_and_saved(self) -> None:
        self.check(FIRST, self.asking(False), is_loopback=True)
        self.assertEqual((FIRST, []), (self.known(), self.asked))

    def test_a_user_at_a_terminal_sees_the_fingerprint_and_is_asked(self) -> None:
        self.assertRaises(TrustError, self.check, FIRST, self.asking(False))
        self.assertIsNone(self.known())
        self.check(FIRST, self.asking(True))
        self.assertIn(FIRST, self.asked[0])
        self.check(FIRST, self.asking(False))
        self.assertEqual(2, len(self.asked))

    def test_accept_new_trusts_a_new_certificate_but_never_a_changed_one(self) -> None:
        self.check(FIRST, Policy(accept_new=True))
        for policy in (PIPE, Policy(accept_new=True), self.asking(True)):
            for is_loopback in (True, False):
                with self.assertRaises(TrustError) as caught:
                    self.check(SECOND, policy, is_loopback=is_loopback)
        for part in (FIRST, SECOND, "./run.sh client --forget --host example.org --port 9090"):
            self.assertIn(part, str(caught.exception))
        self.assertEqual((FIRST, []), (self.known(), self.asked))

    def test_a_pin_trusts_only_its_certificate_and_replaces_the_saved_one(self) -> None:
        self.assertRaises(TrustError, self.check, FIRST, Policy(pin=SECOND), is_loopback=True)
        self.check(FIRST, Policy(pin=FIRST))
        self.check(SECOND, Policy(pin=SECOND))
        self.assertEqual(SECOND, self.known())

    def test_nothing_is_saved_without_saves(self) -> None:
        self.trust = Trust(State(self.state, self.fail, saves=False))
        self.check(FIRST, Policy(accept_new=True))
        self.assertFalse((self.folder / "state").exists())

    def test_a_forgotten_server_is_unknown_again(self) -> None:
        self.check(FIRST, Policy(accept_new=True))
        self.assertEqual([True, False], [forget(self.state, SERVER) for _ in range(2)])
        self.check(SECOND, Policy(accept_new=True))

    def test_servers_are_known_by_host_and_port(self) -> None:
        self.check(FIRST, Policy(accept_new=True))
        other = Endpoint("example.org", 9091)
        self.assertRaises(TrustError, self.trust.check, other, FIRST, is_loopback=False, policy=PIPE)
        self.assertEqual("[::1]:9090", str(Endpoint("::1", 9090)))

    def test_a_fingerprint_has_one_form(self) -> None:
        self.assertEqual(FIRST, checked_pin(FIRST))
        for wrong in ("", "a" * 43, "SHA256:" + "a" * 42, "SHA256:" + "a" * 44, "sha256:" + "a" * 43, FIRST + "\n"):
            self.assertRaises(UsageError, checked_pin, wrong)
