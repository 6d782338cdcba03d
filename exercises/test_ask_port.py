"""The answers of users who mistype, try things out, or paste something else."""

import unittest

from exercises import tried

WRONG = ["port", "0", "65536", "-1", "+80", "8_080", "80.0", "0x50", "٨٠", "²", "9" * 10_000, "80 90"]


class AskPort(unittest.TestCase):
    def ask(self, *answers: str) -> tuple[int, list[str]]:
        left, shown = list(answers), list[str]()
        port = tried("ask_port").ask_port(lambda _: left.pop(0), shown.append)
        self.assertEqual([], left, "each answer is read")
        return port, shown

    def test_enter_takes_the_default(self) -> None:
        self.assertEqual((9090, []), self.ask(""))

    def test_a_port_is_taken(self) -> None:
        for answer, port in (("1", 1), ("65535", 65535), (" 8080 ", 8080)):
            self.assertEqual((port, []), self.ask(answer))

    def test_after_a_wrong_answer_it_says_why_and_asks_again(self) -> None:
        for wrong in WRONG:
            port, shown = self.ask(wrong, "8080")
            self.assertEqual(8080, port)
            self.assertEqual(1, len(shown), wrong[:20])
            self.assertLess(len(shown[0]), 200)
            self.assertIn("65535", shown[0])
