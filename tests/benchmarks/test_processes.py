"""Several processes, one result; whatever goes wrong in one is told."""

import os
import signal
from dataclasses import replace
from unittest import mock

from benchmarks import processes
from benchmarks.processes import measure
from benchmarks.work import Work
from common.errors import Unavailable
from tests.support import PorterTestCase


class Processes(PorterTestCase):
    def test_what_all_did_is_one_result_and_each_second_is_told(self) -> None:
        told: list[int] = []
        with self.server("echo") as server:
            work = Work("127.0.0.1", server.port, connections=5, warmup=0, seconds=1.2)
            result = measure(work, 2, told.append)
        self.assertEqual({}, result.errors)
        self.assertEqual(result.messages, result.latencies.total())
        self.assertEqual(2, len(told))
        self.assertLessEqual(sum(told), result.messages)

    def test_there_are_no_more_of_them_than_connections(self) -> None:
        with (
            self.server("echo") as server,
            mock.patch.object(processes, "_gather", side_effect=processes._gather) as g,
        ):
            measure(Work("127.0.0.1", server.port, connections=2, warmup=0, seconds=0.1), 7)
        self.assertEqual(2, len(g.call_args.args[0]))

    def test_that_nobody_listens_is_told(self) -> None:
        with self.server("echo") as server:
            work = Work("127.0.0.1", server.port, connections=2, seconds=0.1)
        with self.assertRaisesRegex(Unavailable, "refused"):
            measure(replace(work), 2)

    def test_one_that_dies_is_told(self) -> None:
        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        with mock.patch.object(processes, "_work", die), self.assertRaisesRegex(Unavailable, "has died"):
            measure(Work("127.0.0.1", 1), 1)
