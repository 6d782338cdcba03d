"""Latency against load: a server that keeps up has a point, one that does not has none."""

import unittest

from benchmarks.curve import curves, table
from benchmarks.figures import Point
from benchmarks.servers import PORTER
from benchmarks.work import Work


class Curve(unittest.TestCase):
    def test_a_rate_that_is_too_high_has_no_point(self) -> None:
        work = Work("127.0.0.1", 0, connections=4, warmup=0.1, seconds=0.3)
        points = curves([PORTER], [200, 2_000_000], work, rounds=1)[PORTER]
        self.assertEqual([200], [point.rate for point in points])
        self.assertGreater(points[0].p50, 0)
        self.assertGreaterEqual(points[0].p99, points[0].p50)

    def test_the_table_shows_a_dash_for_it(self) -> None:
        shown = table({PORTER: [Point(200, 0.05, 1.5)]}, [200, 300], 4).splitlines()
        self.assertEqual("| Porter | 0.05 / 1.50 | - |", shown[-1])
