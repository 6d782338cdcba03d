"""Signals as numbers that one waits for."""

import os
import signal
import threading

from server.process.signals import WOKEN, Signals
from tests.support import PorterTestCase


class SignalTests(PorterTestCase):
    def test_each_signal_comes_out_of_wait_in_order(self) -> None:
        with Signals() as signals:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
                self.assertEqual(number, signals.wait(5))

    def test_a_burst_of_hups_hides_no_term_which_comes_first(self) -> None:
        with Signals() as signals:
            for _ in range(1500):
                os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            self.assertEqual([signal.SIGTERM, signal.SIGHUP, None], [signals.wait(0) for _ in range(3)])

    def test_any_time_can_be_waited(self) -> None:
        with Signals() as signals:
            threading.Timer(0.02, signals.wake).start()
            self.assertEqual(WOKEN, signals.wait(3650 * 86400.0))

    def test_nothing_comes_where_there_is_nothing(self) -> None:
        with Signals() as signals:
            self.assertIsNone(signals.wait(0))

    def test_another_thread_can_wake_who_waits(self) -> None:
        with Signals() as signals:
            threading.Timer(0.02, signals.wake).start()
            self.assertEqual(WOKEN, signals.wait(20))

    def test_what_was_before_is_back_afterwards(self) -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with Signals() as signals:
            pass
        self.assertEqual(before, (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
        signals.wake()  # too late, and harmless
