"""Signals as numbers that a thread waits for."""

import os
import signal
import threading

from server.process.signals import CUT, WOKEN, Signals
from tests.support import PorterTestCase, scaled


class SignalTests(PorterTestCase):
    def test_wait_returns_each_signal_in_order(self) -> None:
        with Signals() as signals:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
                self.assertEqual(number, signals.wait(5))

    def test_term_comes_first_even_after_a_burst_of_hups(self) -> None:
        with Signals() as signals:
            for _ in range(1500):
                os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            self.assertEqual([signal.SIGTERM, signal.SIGHUP, None], [signals.wait(0) for _ in range(3)])

    def test_a_drain_begins_before_it_is_cut(self) -> None:
        with Signals() as signals:
            signals.post(CUT)
            os.kill(os.getpid(), signal.SIGTERM)
            self.assertEqual([signal.SIGTERM, CUT], [signals.wait(5) for _ in range(2)])

    def test_wait_accepts_a_timeout_of_years(self) -> None:
        with Signals() as signals:
            threading.Timer(scaled(0.02), signals.post, [WOKEN]).start()
            self.assertEqual(WOKEN, signals.wait(3650 * 86400.0))

    def test_wait_returns_none_without_a_signal(self) -> None:
        with Signals() as signals:
            self.assertIsNone(signals.wait(0))

    def test_another_thread_can_end_the_wait(self) -> None:
        with Signals() as signals:
            threading.Timer(scaled(0.02), signals.post, [WOKEN]).start()
            self.assertEqual(WOKEN, signals.wait(20))

    def test_the_earlier_handlers_are_restored(self) -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with Signals() as signals:
            pass
        self.assertEqual(before, (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
        signals.post(WOKEN)  # too late, and harmless
