"""The stop flag: it is set once, and every poll() sees it."""

import select
import threading

from common.wire.stopflag import StopFlag
from tests.support import PATIENCE, PorterTestCase


class StopFlags(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.flag = StopFlag()
        self.addCleanup(self.flag.close)

    def test_a_flag_is_not_set_until_set_is_called(self) -> None:
        self.assertFalse(self.flag.is_set)
        self.assertFalse(self.flag.wait(0))
        self.flag.set()
        self.assertTrue(self.flag.is_set)
        self.assertTrue(self.flag.wait(0))

    def test_setting_a_flag_again_changes_nothing(self) -> None:
        for _ in range(100_000 // 10_000):
            self.flag.set()
        self.assertTrue(self.flag.wait(0))

    def test_a_flag_wakes_every_thread_that_waits(self) -> None:
        woken = threading.Semaphore(0)

        def wait() -> None:
            if self.flag.wait(PATIENCE):
                woken.release()

        threads = [threading.Thread(target=wait) for _ in range(20)]
        for thread in threads:
            thread.start()
        self.flag.set()
        for thread in threads:
            thread.join(PATIENCE)
            self.assertTrue(woken.acquire(timeout=0))

    def test_a_flag_can_be_polled_together_with_other_descriptors(self) -> None:
        poller = select.poll()
        poller.register(self.flag, select.POLLIN)
        self.flag.set()
        self.assertEqual([(self.flag.fileno(), select.POLLIN)], poller.poll(0))
