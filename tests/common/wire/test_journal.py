"""The journal: a line a message for people, a count for what is quicker, and all of it told in the end."""

import re
import time
from unittest import mock

from common.wire.framing import encode
from common.wire.journal import Digest, Journal
from tests.support import PorterTestCase, socket_pair


class Journals(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        clock = mock.patch.object(time, "monotonic", lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)
        self.lines: list[tuple[str, str]] = []
        self.digest = Digest()
        self.ours, self.theirs = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.journal = self.ours.journal = Journal(lambda *line: self.lines.append(line), "1.2.3.4:5", self.digest)
        self.ours.is_followed = True

    def talk(self, times: int) -> None:
        for _ in range(times):
            self.theirs.send_message("hello")
            text = self.ours.receive_message()
            assert text is not None
            self.ours.send_message(text)
            self.theirs.receive_message()

    def accounted_for(self) -> tuple[int, int]:
        """Messages received and sent, by the lines."""
        found = {"received": 0, "sent": 0}
        for text, _ in self.lines:
            match = re.fullmatch(r"(?:message|(\d+) messages) (received|sent), (\d+) bytes", text)
            assert match is not None
            count = int(match[1] or 1)
            self.assertEqual(5 * count, int(match[3]))
            found[match[2]] += count
        return found["received"], found["sent"]

    def test_a_conversation_as_people_have_them_is_a_line_a_message(self) -> None:
        for _ in range(50):
            self.talk(1)
            self.now += 0.2
        self.assertEqual(
            [("message received, 5 bytes", "1.2.3.4:5"), ("message sent, 5 bytes", "1.2.3.4:5")] * 50, self.lines
        )

    def test_what_comes_at_once_is_one_line_with_its_number(self) -> None:
        self.theirs.sendall(encode("a") + encode("bcd"))
        self.ours.receive_message()
        self.assertEqual([("2 messages received, 4 bytes", "1.2.3.4:5")], self.lines)

    def test_who_is_quicker_is_counted_and_told_of_once_a_second(self) -> None:
        for second in range(1, 4):
            self.talk(1000)
            self.now += 1
            self.digest.report()
            self.talk(1)
            received, sent = self.accounted_for()
            self.assertEqual(second * 1001, received)
            self.assertGreaterEqual(sent, second * 1001 - 1)
        self.assertLess(len(self.lines), 40)
        self.journal.close(self.ours)
        self.assertEqual((3003, 3003), self.accounted_for())

    def test_who_then_falls_silent_is_told_of_too_and_followed_again(self) -> None:
        self.talk(100)
        for _ in range(2):
            self.now += 1
            self.digest.report()
        self.assertEqual((100, 100), self.accounted_for())
        self.lines.clear()
        self.now += 1
        self.digest.report()
        self.talk(1)
        self.assertEqual(2, len(self.lines))

    def test_reports_come_once_a_second(self) -> None:
        self.digest.report()
        self.talk(100)
        self.digest.report()
        self.assertFalse(self.ours.is_followed)

    def test_the_rest_is_told_at_the_end_and_the_digest_keeps_nothing(self) -> None:
        self.talk(100)
        self.ours.finish(linger=0)
        self.assertEqual((100, 100), self.accounted_for())
        self.assertEqual({}, self.digest._quick)

    def test_other_events_are_noted_as_they_are(self) -> None:
        self.journal.note("client connected")
        self.assertEqual([("client connected", "1.2.3.4:5")], self.lines)
