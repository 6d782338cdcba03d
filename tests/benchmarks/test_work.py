"""What is said to a server: bursts that cannot be mistaken, and the way in."""

import unittest

from benchmarks.work import Account, Refused, Work, admission, bursts
from common.wire.framing import encode, split


class Said(unittest.TestCase):
    def test_no_two_bursts_are_alike_and_each_is_as_long_as_it_is_asked_for(self) -> None:
        work = Work("h", 1, depth=3, size=20)
        made = [burst for number in range(50) for burst in bursts(work, number)]
        self.assertEqual(100, len(set(made)))
        for burst in made:
            texts, end = split(burst, 20)
            self.assertEqual((3, len(burst), {20}), (len(texts), end, {len(text) for text in texts}))

    def test_where_there_is_an_account_they_are_texts(self) -> None:
        work = Work("h", 1, account=Account("ann", "secret"), size=4)
        self.assertRegex(split(bursts(work, 0)[0], 100)[0][0], r"^TEXT \w{4}$")

    def test_the_way_in_by_password_gives_the_token_and_by_token_sends_it(self) -> None:
        way = admission(Account("ann", "secret"))
        next(way)
        for said, answer in (
            ("GET-TOKEN", encode("TOKEN")),
            ("ASK Name: ", encode("TEXT ann")),
            ("SECRET Password: ", encode("TEXT secret")),
            ("SET-TOKEN t1", b""),
        ):
            self.assertEqual(answer, way.send(said))
        with self.assertRaises(StopIteration) as done:
            way.send("TEXT Hello, ann!")
        self.assertEqual("t1", done.exception.value)
        way = admission(Account("ann", "secret"), "t1")
        next(way)
        self.assertEqual(encode("TOKEN t1"), way.send("GET-TOKEN"))

    def test_a_refusal_is_an_error_with_its_words(self) -> None:
        way = admission(Account("ann", "secret"))
        next(way)
        with self.assertRaisesRegex(Refused, "wrong name or password"):
            way.send("ERROR wrong name or password")
