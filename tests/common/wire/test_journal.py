"""The journal: one line for each message of a slow client, counts for a fast one, and no message is missing."""

import re
import time
from unittest import mock

from common.wire.framing import encode
from common.wire.journal import Counted, Journal
from tests.support import PorterTestCase, socket_pair


class Journals(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        clock = mock.patch.object(time, "monotonic", lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)
        self.lines: list[tuple[str, str]] = []
        self.quick: set[Counted] = set()
        self.ours, self.theirs = socket_pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)
        self.journal = self.ours.journal = Journal(lambda *line: self.lines.append(line), "1.2.3.4:5", self.quick)

    def talk(self, times: int) -> None:
        for _ in range(times):
            self.theirs.send_message("hello")
            text = self.ours.receive_message()
            assert text is not None
            self.ours.send_message(text)
            self.theirs.receive_message()

    def report(self) -> None:
        for connection in list(self.quick):
            self.assertIs(self.ours, connection)
            self.journal.report(connection)

    def accounted_for(self) -> tuple[int, int]:
        """Return how many messages were received and sent according to the lines."""
        found = {"received": 0, "sent": 0}
        for text, _ in self.lines:
            match = re.fullmatch(r"(?:message|(\d+) messages) (received|sent), (\d+) bytes", text)
            assert match is not None
            count = int(match[1] or 1)
            self.assertEqual(5 * count, int(match[3]))
            found[match[2]] += count
        return found["received"], found["sent"]

    def test_a_slow_conversation_has_one_line_for_each_message(self) -> None:
        for _ in range(50):
            self.talk(1)
            self.now += 0.2
        self.assertEqual(
            [("message received, 5 bytes", "1.2.3.4:5"), ("message sent, 5 bytes", "1.2.3.4:5")] * 50, self.lines
        )

    def test_messages_that_come_at_once_are_one_line_with_their_number(self) -> None:
        self.theirs.send_bytes(encode("a") + encode("bcd"))
        self.ours.receive_message()
        self.assertEqual([("2 messages received, 4 bytes", "1.2.3.4:5")], self.lines)

    def test_a_fast_client_is_counted_and_reported_once_a_second(self) -> None:
        for second in range(1, 4):
            self.talk(1000)
            self.now += 1
            self.report()
            self.talk(1)
            received, sent = self.accounted_for()
            self.assertGreaterEqual(received, second * 1001 - 1)
            self.assertGreaterEqual(sent, second * 1001 - 1)
        self.assertLess(len(self.lines), 40)
        self.journal.close(self.ours)
        self.assertEqual((3003, 3003), self.accounted_for())

    def test_a_fast_client_that_falls_silent_is_reported_and_followed_again(self) -> None:
        self.talk(100)
        for _ in range(2):
            self.now += 1
            self.report()
        self.assertEqual((100, 100), self.accounted_for())
        self.lines.clear()
        self.now += 1
        self.report()
        self.talk(1)
        self.assertEqual(2, len(self.lines))

    def test_the_rest_is_reported_at_the_end_and_nobody_holds_the_connection(self) -> None:
        self.talk(100)
        self.ours.finish(linger=0)
        self.assertEqual((100, 100), self.accounted_for())
        self.assertEqual(set(), self.quick)

    def test_other_events_are_logged_unchanged(self) -> None:
        self.journal.log("client connected")
        self.assertEqual([("client connected", "1.2.3.4:5")], self.lines)
