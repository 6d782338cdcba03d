"""Several processes give one result, and an error in one of them is reported."""

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
    def test_all_processes_give_one_result_and_each_second_is_reported(self) -> None:
        reported: list[int] = []
        with self.server("echo") as server:
            work = Work("127.0.0.1", server.port, connections=5, warmup=0, seconds=1.2)
            result = measure(work, 2, reported.append)
        self.assertEqual({}, result.errors)
        self.assertEqual(result.messages, result.latencies.total())
        self.assertEqual(2, len(reported))
        self.assertLessEqual(sum(reported), result.messages)

    def test_there_are_no_more_processes_than_connections(self) -> None:
        with (
            self.server("echo") as server,
            mock.patch.object(processes, "_gather", side_effect=processes._gather) as g,
        ):
            measure(Work("127.0.0.1", server.port, connections=2, warmup=0, seconds=0.1), 7)
        self.assertEqual(2, len(g.call_args.args[0]))

    def test_a_missing_server_is_reported(self) -> None:
        with self.server("echo") as server:
            work = Work("127.0.0.1", server.port, connections=2, seconds=0.1)
        with self.assertRaisesRegex(Unavailable, "refused"):
            measure(replace(work), 2)

    def test_a_process_that_dies_is_reported(self) -> None:
        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        with mock.patch.object(processes, "_work", die), self.assertRaisesRegex(Unavailable, "has died"):
            measure(Work("127.0.0.1", 1), 1)
