"""The simulation of a failover: who comes back when, and that jitter pays where the server is slow."""

import unittest

from benchmarks.failover import POLICIES, SERVERS, Server, jitter, no_jitter, simulate


class Failover(unittest.TestCase):
    def test_a_quick_server_lets_all_in_as_fast_as_it_can(self) -> None:
        outcome = simulate(1000, Server(1000), jitter)
        self.assertAlmostEqual(0.99, outcome.seconds, delta=0.3)
        self.assertAlmostEqual(1.0, outcome.tries, delta=0.1)
        self.assertEqual(sorted(outcome.back), outcome.back)
        self.assertGreaterEqual(outcome.back[-1], 990)

    def test_a_slow_server_with_a_queue_works_for_those_who_have_given_up(self) -> None:
        outcome = simulate(2000, Server(75), no_jitter)
        self.assertGreater(outcome.tries, 3)
        self.assertGreater(outcome.seconds, 2 * 2000 / 75)

    def test_jitter_is_better_than_none_where_places_are_few(self) -> None:
        few = Server(70, 16)
        with_jitter, without = (simulate(1000, few, policy) for policy in (jitter, no_jitter))
        self.assertLess(with_jitter.seconds, without.seconds)

    def test_the_same_seed_gives_the_same(self) -> None:
        server, policy = SERVERS["with a token"], POLICIES["once a second"]
        self.assertEqual(simulate(500, server, policy), simulate(500, server, policy))
