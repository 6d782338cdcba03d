"""The bytes that a load sends to a server: bursts that all differ, and logins."""

import unittest

from benchmarks.work import Account, Refused, Work, admission, bursts
from common.wire.framing import encode, split


class SentBytes(unittest.TestCase):
    def test_all_bursts_differ_and_each_has_the_wanted_size(self) -> None:
        work = Work("h", 1, depth=3, size=20)
        made = [burst for number in range(50) for burst in bursts(work, number)]
        self.assertEqual(100, len(set(made)))
        for burst in made:
            texts, end = split(burst, 20)
            self.assertEqual((3, len(burst), {20}), (len(texts), end, {len(text) for text in texts}))

    def test_the_bursts_of_an_account_are_text_messages(self) -> None:
        work = Work("h", 1, account=Account("ann", "secret"), size=4)
        self.assertRegex(split(bursts(work, 0)[0], 100)[0][0], r"^TEXT \w{4}$")

    def test_a_login_by_password_returns_the_token_and_a_login_by_token_sends_it(self) -> None:
        login = admission(Account("ann", "secret"))
        next(login)
        for said, answer in (
            ("GET-TOKEN", encode("TOKEN")),
            ("ASK Name: ", encode("TEXT ann")),
            ("SECRET Password: ", encode("TEXT secret")),
            ("SET-TOKEN t1", b""),
        ):
            self.assertEqual(answer, login.send(said))
        with self.assertRaises(StopIteration) as done:
            login.send("TEXT Hello, ann!")
        self.assertEqual("t1", done.exception.value)
        login = admission(Account("ann", "secret"), "t1")
        next(login)
        self.assertEqual(encode("TOKEN t1"), login.send("GET-TOKEN"))

    def test_a_refusal_is_an_error_with_the_text_of_the_server(self) -> None:
        login = admission(Account("ann", "secret"))
        next(login)
        with self.assertRaisesRegex(Refused, "wrong name or password"):
            login.send("ERROR wrong name or password")
