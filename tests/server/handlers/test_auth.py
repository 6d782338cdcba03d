"""The auth mode: the messages of each step, without and with TLS."""

import threading
from typing import Any
from unittest import mock

from common.errors import Busy
from common.wire.kinds import Kind, compose
from server.identity.passwords import Passwords
from tests.support import PorterTestCase, scaled

WRONG = "wrong name or password"
BUSY = Busy("the server is busy, try again in a moment")
CLOSED = {"handlers": {"auth": {"options": {"registration": "closed"}}}}


class Behaviour:
    def test_a_new_user_enters_a_password_twice_and_is_logged_in(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.give_token()
            client.answer(Kind.ASK, "Alice")
            client.answer(Kind.SECRET, "correct horse")
            client.answer(Kind.SECRET, "correct horse")
            self.assertEqual(43, len(client.expect(Kind.SET_TOKEN)))
            self.assertIn("Alice", client.expect(Kind.TEXT))
            client.say("hello")
            client.expect(Kind.TEXT, "hello")

    def test_a_user_with_a_token_is_asked_nothing(self: Any) -> None:
        with self.server("auth") as server:
            token = server.talk().register("Alice")
            client = server.talk("127.0.0.9")
            client.give_token(token)
            self.assertIn("Alice", client.expect(Kind.TEXT))
            server.log.wait_for("Alice is back with a token")

    def test_a_token_survives_a_restart(self: Any) -> None:
        with self.server("auth") as server:
            token = server.talk().register("Alice")
        with self.server("auth") as server:
            client = server.talk()
            client.give_token(token)
            self.assertIn("Alice", client.expect(Kind.TEXT))

    def test_an_invalid_token_leads_to_the_questions(self: Any) -> None:
        with self.server("auth") as server:
            for token in ("nonsense", "x" * 4000, "a b c"):
                client = server.talk()
                client.give_token(token)
                client.expect(Kind.ASK)

    def test_an_old_token_is_renewed(self: Any) -> None:
        with self.server("auth", handlers={"auth": {"options": {"sessions": {"renew_after": 1e-6}}}}) as server:
            token = server.talk().register("Alice")
            client = server.talk()
            client.give_token(token)
            self.assertNotEqual(token, client.expect(Kind.SET_TOKEN))
            client.expect(Kind.TEXT)

    def test_the_right_password_works_with_any_spelling_of_the_name(self: Any) -> None:
        with self.server("auth") as server:
            first = server.talk().register("Alice")
            second = server.talk("127.0.0.2").log_in("ａlice")
            self.assertNotEqual(first, second)

    def test_three_wrong_passwords_end_the_connection(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            client = server.talk("127.0.0.2")
            client.give_token()
            for _ in range(3):
                self.assertEqual(WRONG, client.fail("alice"))
            client.expect_end()
            server.log.wait_for("login refused", count=3)

    def test_the_last_name_of_the_address_is_offered_and_enter_takes_it(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            client = server.talk()
            client.give_token()
            self.assertIn("[Alice]", client.answer(Kind.ASK, ""))
            client.answer(Kind.SECRET, "correct horse")
            client.expect(Kind.SET_TOKEN)
            other = server.talk("127.0.0.2")
            other.give_token()
            self.assertNotIn("[", other.expect(Kind.ASK))

    def test_a_mismatch_a_short_password_and_a_wrong_name_are_explained(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.give_token()
            client.answer(Kind.ASK, "a b")
            self.assertIn("space", client.expect(Kind.ERROR))
            client.answer(Kind.ASK, "Alice")
            client.answer(Kind.SECRET, "one horse")
            client.answer(Kind.SECRET, "two horses")
            self.assertIn("differ", client.expect(Kind.ERROR))
            self.assertIn("(at least 8 characters)", client.answer(Kind.SECRET, "short"))
            self.assertIn("at least 8", client.expect(Kind.ERROR))
            client.expect_end()

    def test_a_refused_password_is_asked_again_and_the_name_is_not(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.give_token()
            client.answer(Kind.ASK, "Alice")
            for _ in range(2):
                client.answer(Kind.SECRET, "short")
                client.expect(Kind.ERROR)
            client.answer(Kind.SECRET, "correct horse")
            client.answer(Kind.SECRET, "correct horse")
            client.expect(Kind.SET_TOKEN)
            client.expect(Kind.TEXT, "Hello, Alice!")

    def test_a_name_that_looks_like_another_cannot_be_registered(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("coco")
            client = server.talk()
            client.give_token()
            client.answer(Kind.ASK, "сосо")
            client.answer(Kind.SECRET, "correct horse")
            client.answer(Kind.SECRET, "correct horse")
            self.assertIn("looks like", client.expect(Kind.ERROR))

    def test_with_closed_registration_a_wrong_name_gets_the_answer_to_a_wrong_password(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
        with self.server("auth", **CLOSED) as server:
            for name in ("alice", "nobody", "a b", "", "x" * 100, "a\x00b"):
                client = server.talk("127.0.0.2")
                client.give_token()
                self.assertEqual(WRONG, client.fail(name))

    def test_too_many_wrong_passwords_lock_the_name_and_the_answer_stays_the_same(self: Any) -> None:
        lockout = {"handlers": {"auth": {"options": {"lockout": {"free_attempts": 1, "first_delay": 3600}}}}}
        with self.server("auth", **lockout) as server:
            token = server.talk().register("Alice")
            client = server.talk("127.0.0.2")
            client.give_token()
            self.assertEqual([WRONG] * 2, [client.fail("alice") for _ in range(2)])
            self.assertEqual(WRONG, client.fail("alice", "correct horse"))
            server.log.wait_for("login refused: alice has another password, and is now locked for 3600 seconds")
            server.log.wait_for("login refused: alice is locked for")
            server.talk("127.0.0.1").log_in("alice")
            back = server.talk("127.0.0.2")
            back.give_token(token)
            back.expect(Kind.TEXT)
        with self.server("auth", **lockout) as server:
            client = server.talk("127.0.0.2")
            client.give_token()
            self.assertEqual(WRONG, client.fail("alice", "correct horse"))

    def test_a_busy_server_says_so_asks_again_and_counts_no_failure(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            client = server.talk()
            client.give_token()
            with mock.patch.object(Passwords, "turn", side_effect=BUSY):
                for _ in range(5):
                    self.assertIn("busy", client.fail("alice"))
            client.answer(Kind.ASK, "alice")
            client.answer(Kind.SECRET, "correct horse")
            client.expect(Kind.SET_TOKEN)

    def test_the_commands_are_answered(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.register("Alice")
            client.say("/help")
            commands = client.expect(Kind.TEXT)
            for command in ("/help", "/whoami", "/password", "/logout", "/logout-all"):
                self.assertIn(command, commands)
            client.say("/whoami")
            client.expect(Kind.TEXT, "Alice")
            client.say("/frobnicate")
            self.assertIn("/help", client.expect(Kind.ERROR))
            client.say(" /whoami")
            client.expect(Kind.TEXT, " /whoami")

    def test_logging_out_forgets_the_token_on_both_sides(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            token = client.register("Alice")
            client.say("/logout")
            client.expect(Kind.SET_TOKEN, "")
            client.expect(Kind.TEXT)
            client.expect_end()
            again = server.talk()
            again.give_token(token)
            again.expect(Kind.ASK)

    def test_logging_out_everywhere_ends_every_session(self: Any) -> None:
        with self.server("auth") as server:
            first = server.talk().register("Alice")
            client = server.talk()
            second = client.log_in("Alice")
            client.say("/logout-all")
            client.expect(Kind.SET_TOKEN, "")
            client.expect(Kind.TEXT)
            client.expect_end()
            for token in (first, second):
                again = server.talk()
                again.give_token(token)
                again.expect(Kind.ASK)

    def test_a_changed_password_gives_a_new_token_and_ends_the_other_sessions(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            token = client.register("Alice")
            client.say("/password")
            client.answer(Kind.SECRET, "correct horse")
            client.answer(Kind.SECRET, "another horse")
            client.answer(Kind.SECRET, "another horse")
            new_token = client.expect(Kind.SET_TOKEN)
            client.expect(Kind.TEXT)
            for good, expected in ((token, Kind.ASK), (new_token, Kind.TEXT)):
                again = server.talk()
                again.give_token(good)
                again.expect(expected)
            server.talk().log_in("Alice", "another horse")

    def test_a_refused_password_change_leaves_the_user_logged_in(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            token = client.register("Alice")
            client.say("/password")
            for answer in ("wrong horse", "another horse", "another horse"):
                client.answer(Kind.SECRET, answer)
            client.expect(Kind.ERROR, WRONG)
            client.say("still here")
            client.expect(Kind.TEXT, "still here")
            again = server.talk()
            again.give_token(token)
            again.expect(Kind.TEXT)

    def test_all_answers_may_be_sent_early(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            for line in ("Alice", "correct horse", "correct horse", "hello"):
                client.say(line)
            client.connection.send_message(compose(Kind.TOKEN))
            kinds = [client.next()[0] for _ in range(7)]
            wanted = [Kind.GET_TOKEN, Kind.ASK, Kind.SECRET, Kind.SECRET, Kind.SET_TOKEN, Kind.TEXT, Kind.TEXT]
            self.assertEqual(wanted, kinds)

    def test_early_messages_are_limited(self: Any) -> None:
        with self.server("auth") as server:
            for early in (["early"] * 17, ["early" * 500] * 2):
                client = server.talk()
                client.expect(Kind.GET_TOKEN)
                for text in early:
                    client.say(text)
                self.assertIn("more than 16 messages or 4096 characters came before", client.expect(Kind.ERROR))
                client.expect_end()

    def test_messages_must_be_short_until_the_login(self: Any) -> None:
        with self.server("auth", limits={"max_message_before_login": 100}) as server:
            client = server.talk()
            client.register("Alice")
            client.say("x" * 5000)
            client.expect(Kind.TEXT, "x" * 5000)
            other = server.talk()
            other.give_token()
            other.answer(Kind.ASK, "x" * 200)
            other.expect(Kind.ERROR, "a message of 205 bytes is over the limit of 100")
            other.expect_end()

    def test_a_client_that_does_not_log_in_in_time_is_closed(self: Any) -> None:
        with self.server("auth", limits={"login_timeout": scaled(0.2)}) as server:
            client = server.talk()
            client.give_token()
            client.expect(Kind.ASK)
            client.expect(Kind.ERROR, f"the login was not complete after {scaled(0.2):g} seconds")
            client.expect_end()

    def test_sending_all_answers_early_gives_no_extra_time(self: Any) -> None:
        def be_busy(_: Passwords, source: str) -> Any:
            threading.Event().wait(scaled(0.02))
            raise BUSY

        with (
            self.server("auth", limits={"login_timeout": scaled(0.2)}, **CLOSED) as server,
            mock.patch.object(Passwords, "turn", be_busy),
        ):
            client = server.talk()
            client.give_token()
            for _ in range(100):
                client.say("alice")
            said = [client.next()]
            while said[-1] != (Kind.ERROR, f"the login was not complete after {scaled(0.2):g} seconds"):
                said.append(client.next())
            client.expect_end()
            self.assertLess(said.count((Kind.ERROR, str(BUSY))), 25)  # of 50 tries

    def test_a_logged_in_user_has_no_login_deadline(self: Any) -> None:
        with self.server("auth", limits={"login_timeout": scaled(0.5)}) as server:
            client = server.talk()
            client.register("Alice")
            # Wait longer than the whole login time: meanwhile it ends for another client.
            other = server.talk()
            other.give_token()
            other.expect(Kind.ASK)
            other.expect(Kind.ERROR)
            client.say("still here")
            client.expect(Kind.TEXT, "still here")

    def test_no_password_and_no_token_is_ever_logged(self: Any) -> None:
        with self.server("auth") as server:
            token = server.talk().register("Alice", "a very secret word")
            again = server.talk()
            again.give_token(token)
            again.expect(Kind.TEXT)
            other = server.talk()
            other.give_token("a-stolen-token")
            other.fail("Alice", "a secret guess")
        log = (self.folder / "server.log").read_text()
        for secret in (token, "a very secret word", "a-stolen-token", "a secret guess"):
            self.assertNotIn(secret, log)

    def test_an_unavailable_store_is_not_reported_as_a_wrong_password(self: Any) -> None:
        with self.server("auth") as server:
            server.talk().register("Alice")
            client = server.talk()
            client.give_token()
            client.answer(Kind.ASK, "Alice")
            client.expect(Kind.SECRET)
            path = self.folder / "data" / "porter.db"
            path.rename(self.folder / "away.db")
            path.mkdir()
            client.say("correct horse")
            client.expect(Kind.ERROR, "temporarily unavailable, try again later")
            client.expect_end()
            path.rmdir()
            (self.folder / "away.db").rename(path)
            server.talk("127.0.0.1").log_in("Alice")

    def test_a_client_that_leaves_at_any_step_leaves_nothing_behind(self: Any) -> None:
        with self.server("auth") as server:
            for steps in range(4):
                client = server.talk()
                client.give_token()
                if steps > 0:
                    client.answer(Kind.ASK, "Alice")
                if steps > 1:
                    client.answer(Kind.SECRET, "correct horse")
                client.connection.close()
                server.log.wait_for("client disconnected", count=steps + 1)
            server.talk().register("Alice")

    def test_an_unexpected_token_is_a_breach(self: Any) -> None:
        with self.server("auth") as server:
            client = server.talk()
            client.register("Alice")
            client.connection.send_message(compose(Kind.TOKEN, "x"))
            self.assertIn("TOKEN that nobody asked for", client.expect(Kind.ERROR))
            client.expect_end()


class Plain(Behaviour, PorterTestCase):
    pass


class Secure(Behaviour, PorterTestCase):
    tls = True
