"""Lines that come in floods: the first few, and then their number."""

import unittest

from common.log.sparing import SparingLog


class Sparing(unittest.TestCase):
    def test_the_first_refusals_get_a_line_each_and_the_rest_are_counted(self) -> None:
        log = SparingLog(lines=2)
        with self.assertLogs("porter.server", "WARNING") as logged:
            for number in range(1000):
                log.log("refused: the server is full", f"10.0.0.1:{number}")
            log.log("refused: too many", "10.0.0.1:1")
            log.report()
            self.assertEqual(3, len(logged.records))
            log.report(at_once=True)
            log.report(at_once=True)
        self.assertEqual("10.0.0.1:0", vars(logged.records[0])["peer"])
        self.assertEqual(
            "refused: the server is full (998 more times within 60 seconds)", logged.records[-1].getMessage()
        )
        self.assertEqual(4, len(logged.records))

    def test_after_the_period_the_count_starts_again(self) -> None:
        log = SparingLog(lines=1, period=0)
        with self.assertLogs("porter.server", "WARNING") as logged:
            for _ in range(2):
                for _ in range(3):
                    log.log("refused")
                log.report()
        self.assertEqual(
            ["refused", "refused (2 more times within 0 seconds)"] * 2,
            [record.getMessage() for record in logged.records],
        )

    def test_a_failure_is_shown_with_its_traceback_a_few_times_and_each_place_for_itself(self) -> None:
        log = SparingLog(lines=2)
        with self.assertLogs("porter.server", "WARNING") as logged:
            for number in range(100):
                try:
                    _ = 1 // 0 if number else [][0]
                except (ArithmeticError, LookupError):
                    log.failure("a handler failed", "10.0.0.1:1")
            log.report(at_once=True)
        shown = [record.exc_info[0] for record in logged.records if record.exc_info]
        self.assertEqual([IndexError, ZeroDivisionError, ZeroDivisionError], shown)
        self.assertRegex(
            logged.records[-1].getMessage(),
            r"^a handler failed: ZeroDivisionError in test_sparing.py, line \d+ \(97 more times within 60 seconds\)$",
        )
