"""The journal: a line a message, with its length and its peer."""

import logging
import unittest

from common.journal import Journal


class Journals(unittest.TestCase):
    def test_each_message_is_a_line_with_its_length(self) -> None:
        log = logging.getLogger("porter.server")
        with self.assertLogs(log, "INFO") as logged:
            journal = Journal(logging.LoggerAdapter(log, {"peer": "1.2.3.4:5"}))
            journal.received(12)
            journal.sent(34)
        self.assertEqual(
            [("message received, 12 bytes", "1.2.3.4:5"), ("message sent, 34 bytes", "1.2.3.4:5")],
            [(record.getMessage(), getattr(record, "peer", None)) for record in logged.records],
        )
