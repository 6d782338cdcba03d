"""The lock between processes, which keeps threads apart, too."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from server.sharedlock import SharedLock
from tests.support import PorterTestCase


class Threads(PorterTestCase):
    def test_another_thread_of_the_process_has_to_wait(self) -> None:
        with closing(SharedLock()) as lock, ThreadPoolExecutor(1) as other:
            self.assertTrue(lock.acquire(0))
            self.assertFalse(other.submit(lock.acquire, 0.01).result())
            lock.release()
            self.assertTrue(other.submit(lock.acquire, 0.01).result())
            lock.release()
