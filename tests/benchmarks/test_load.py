"""The load of one process: a closed and an open loop, errors, and an end in time."""

import time
from dataclasses import replace

from benchmarks.load import Load
from benchmarks.results import Result
from benchmarks.work import Kinds, Work
from common.errors import Unavailable
from tests.support import PorterTestCase, scaled


class Loads(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.echo = self.enterContext(self.server("echo"))
        self.work = Work("127.0.0.1", self.echo.port, connections=4, warmup=0, seconds=scaled(0.3))

    def run_load(self, work: Work) -> Result:
        with Load(work, range(work.connections)) as load:
            load.settle()
            start = time.monotonic()
            result = load.run(start, lambda _: None)
            self.assertLess(time.monotonic() - start, work.seconds + scaled(0.3))
            return result

    def test_a_closed_loop_counts_every_answer(self) -> None:
        result = self.run_load(self.work)
        self.assertEqual(result.messages, result.latencies.total())
        self.assertEqual({}, result.errors)
        self.assertAlmostEqual(scaled(0.3), result.seconds, delta=scaled(0.1))

    def test_an_open_loop_sends_at_the_wanted_rate(self) -> None:
        result = self.run_load(replace(self.work, rate=100, seconds=0.5))
        self.assertAlmostEqual(50, result.messages, delta=8)

    def test_visitors_come_again_and_again(self) -> None:
        self.assertGreater(self.run_load(replace(self.work, kind=Kinds.CONNECT)).messages, 8)

    def test_a_server_that_has_stopped_ends_the_load(self) -> None:
        work = replace(self.work, kind=Kinds.CONNECT, seconds=10)
        with Load(work, range(2)) as load:
            self.echo.service.stop_listening()
            with self.assertRaisesRegex(Unavailable, "cannot connect again"):
                load.run(time.monotonic(), lambda _: None)
