"""Figures: rates, percentiles, and the merged result of several processes."""

import math
import unittest

from benchmarks.results import Result, rounded


class Results(unittest.TestCase):
    def test_percentiles_are_computed_from_the_answers(self) -> None:
        result = Result(seconds=2.0, messages=1000)
        result.add({number * 1000: 1 for number in range(1, 1001)})
        self.assertEqual(500.0, result.rate)
        self.assertAlmostEqual(0.5, result.percentile(50), delta=0.005)
        self.assertAlmostEqual(0.99, result.percentile(99), delta=0.005)
        self.assertAlmostEqual(1.0, result.percentile(100), delta=0.005)

    def test_without_answers_there_is_no_latency_and_no_rate(self) -> None:
        result = Result()
        self.assertTrue(math.isnan(result.percentile(99)))
        self.assertEqual(0.0, result.rate)
        self.assertIsNone(result.figures()["p99_ms"])

    def test_latencies_keep_three_digits(self) -> None:
        self.assertEqual([0.00123, 1.23, 0.0], [rounded(0.00123456), rounded(1.2345), rounded(0.0)])

    def test_results_of_processes_that_ran_at_the_same_time_add_up(self) -> None:
        first, second = Result(2.0, 10), Result(2.1, 5)
        first.add({100_000: 1})
        second.add({100_000: 1, 200_000: 1})
        second.errors["reset"] += 1
        first.merge(second)
        self.assertEqual(
            (2.1, 15, 2, {"reset": 1}), (first.seconds, first.messages, first.latencies[0.1], first.errors)
        )
