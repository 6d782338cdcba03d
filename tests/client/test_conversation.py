"""How the client handles each message, and the status of a conversation."""

from client.conversation import Conversation, Question
from client.line import Line
from client.state import State
from client.tokens import Tokens
from client.trust import Endpoint, Peer
from common.errors import ConnectionLost, ExitStatus, ProtocolError, TrustError, Unavailable, UnexpectedKind
from common.language import ENGLISH
from common.wire.kinds import Kind, compose
from tests.support import PorterTestCase, socket_pair


class ConversationTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ours, self.peer = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.peer.close)
        self.shown: list[str] = []
        self.traced: list[str] = []
        self.talk = self.conversation(Peer(Endpoint("h", 1), "c", is_private=True))

    longest: int | None = 10_000
    language = ENGLISH

    def conversation(self, peer: Peer) -> Conversation:
        return Conversation(Line(self.ours, peer, Tokens(State(None, self.fail), peer)), self)

    def show(self, text: str) -> None:
        self.shown.append(text)

    def show_error(self, text: str) -> None:
        self.shown.append(f"! {text}")

    def trace(self, template: str, **values: object) -> None:
        self.traced.append(template.format(**values))

    def hear(self, *messages: tuple[Kind, str]) -> None:
        for kind, text in messages:
            self.peer.send_message(compose(kind, text))
        self.receive()

    def receive(self) -> None:
        self.talk.take_in()
        self.talk.send_answers()

    def end(self) -> None:
        self.peer.close()
        self.receive()

    def test_text_and_errors_are_shown_and_questions_are_open_until_answered(self) -> None:
        self.hear((Kind.TEXT, "hello"), (Kind.ERROR, "wrong"), (Kind.ASK, "Name: "))
        self.assertEqual(["hello", "! wrong"], self.shown)
        self.assertEqual(Question("Name: ", False), self.talk.question)
        self.talk.send("Bob")
        self.assertIsNone(self.talk.question)
        self.assertEqual("TEXT Bob", self.peer.receive_message())
        self.hear((Kind.SECRET, "Password: "))
        self.assertEqual(Question("[h:1] Password: ", True), self.talk.question)

    def test_tokens_are_sent_and_saved_without_output(self) -> None:
        self.hear((Kind.GET_TOKEN, ""))
        self.assertEqual("TOKEN", self.peer.receive_message())
        self.hear((Kind.SET_TOKEN, "abc"), (Kind.GET_TOKEN, ""))
        self.assertEqual("TOKEN abc", self.peer.receive_message())
        self.hear((Kind.SET_TOKEN, ""), (Kind.GET_TOKEN, ""))
        self.assertEqual("TOKEN", self.peer.receive_message())
        self.assertEqual(([], False), (self.shown, self.talk.has_spoken))

    def test_each_message_is_traced_by_direction_kind_and_length_and_no_secret_is(self) -> None:
        self.talk.secret = "horse"
        self.hear((Kind.TEXT, "\u00e4"), (Kind.SECRET, "Password: "))
        self.talk.send("hello")
        self.assertEqual(
            ["received TEXT, 7 bytes", "received SECRET, 17 bytes", "sent TEXT, 10 bytes", "sent TEXT, 10 bytes"],
            self.traced,
        )

    def test_a_given_secret_answers_every_secret_and_nothing_else(self) -> None:
        self.talk.secret = "horse"
        self.hear((Kind.SECRET, "Password: "), (Kind.SECRET, "Again: "), (Kind.ASK, "Name: "))
        self.assertEqual(["TEXT horse"] * 2, [self.peer.receive_message() for _ in range(2)])
        self.assertEqual(Question("Name: ", False), self.talk.question)

    def test_control_characters_are_made_visible_everywhere(self) -> None:
        self.hear((Kind.TEXT, "a\x1b[2J\r\nb\tc"), (Kind.ERROR, "\u202e"), (Kind.ASK, "x\ny\x07"))
        self.assertEqual(["a\\x1b[2J\\r\nb\tc", "! \\u202e"], self.shown)
        self.assertEqual(Question("x\\ny\\x07", False), self.talk.question)

    def test_a_kind_that_a_server_may_not_use_is_a_breach(self) -> None:
        self.peer.send_message("TOKEN abc")
        self.assertRaises(UnexpectedKind, self.receive)

    def test_an_end_after_a_text_has_the_status_done(self) -> None:
        self.hear((Kind.TEXT, "bye"))
        self.end()
        self.assertEqual(ExitStatus.DONE, self.talk.result())

    def test_an_end_before_the_first_message_is_a_lost_connection(self) -> None:
        with self.assertRaisesRegex(ConnectionLost, "before it said anything"):
            self.end()

    def test_an_end_after_an_error_has_the_status_unavailable(self) -> None:
        self.hear((Kind.ERROR, "the server is full"))
        self.end()
        self.assertEqual(ExitStatus.UNAVAILABLE, self.talk.result())

    def test_an_error_before_a_question_is_a_refusal_until_the_user_is_logged_in(self) -> None:
        self.hear((Kind.ASK, "Name: "))
        self.talk.send("x")
        self.hear((Kind.ERROR, "wrong"), (Kind.ASK, "Name: "))
        self.assertEqual(ExitStatus.NOT_PERMITTED, self.talk.result())
        self.talk.send("y")
        self.hear((Kind.TEXT, "Hello!"))
        self.assertEqual(ExitStatus.DONE, self.talk.result())
        self.hear((Kind.ERROR, "no such command"), (Kind.ASK, "> "))
        self.assertEqual(ExitStatus.DONE, self.talk.result())

    def test_a_breach_or_a_stop_before_the_login_is_no_refusal(self) -> None:
        self.hear((Kind.ASK, "Name: "))
        self.talk.send("x" * 5000)
        self.peer.receive_message()
        self.hear((Kind.ERROR, "over the limit"))
        self.end()
        with self.assertRaisesRegex(Unavailable, "before the login was complete"):
            self.talk.result()

    def test_the_last_message_of_the_server_is_shown_when_sending_fails(self) -> None:
        self.peer.send_message("ERROR over the limit")
        self.peer.close()
        with self.assertRaises(ConnectionLost):
            self.talk.send("x")
        self.assertEqual(["! over the limit"], self.shown)

    def test_no_secret_and_no_token_is_sent_where_others_can_listen(self) -> None:
        self.talk = self.conversation(Peer(Endpoint("h", 1), "no TLS", is_private=False))
        self.hear((Kind.SET_TOKEN, "abc"), (Kind.GET_TOKEN, ""), (Kind.ASK, "Name: "))
        self.assertEqual("TOKEN", self.peer.receive_message())
        for secret in (None, "horse"):
            self.talk.secret = secret
            with self.assertRaisesRegex(TrustError, "h:1 asks for a secret without TLS"):
                self.hear((Kind.SECRET, "Password: "))
        self.talk.line.connection.close()
        self.assertIsNone(self.peer.receive_message())

    def test_a_long_text_and_a_long_prompt_are_cut(self) -> None:
        self.hear((Kind.TEXT, "x" * 10_001), (Kind.ASK, "\U000e0001" * 5000))
        self.assertEqual(["x" * 10_000 + "\n... and 1 more characters"], self.shown)
        self.assertEqual(Question("\\U000e0001" * 20, False), self.talk.question)
        self.longest = None
        self.hear((Kind.TEXT, "x" * 10_001))
        self.assertEqual("x" * 10_001, self.shown[-1])

    def test_a_server_that_asks_for_the_token_again_and_again_is_a_breach(self) -> None:
        with self.assertRaisesRegex(ProtocolError, "asks again and again"):
            self.hear(*[(Kind.GET_TOKEN, "")] * 17)

    def test_take_in_sends_nothing(self) -> None:
        self.peer.send_message("GET-TOKEN")
        self.talk.take_in()
        self.assertTrue(self.talk.has_answers)
        self.talk.send_answers()
        self.assertEqual("TOKEN", self.peer.receive_message())
        self.assertFalse(self.talk.has_answers)
