"""The choice of a core: another one is taken only if it is much freer of other programs."""

import unittest

from server.process.placement import better


class Choice(unittest.TestCase):
    def test_a_core_that_nobody_else_uses_is_kept(self) -> None:
        self.assertEqual(1, better(1, {0: 0.0, 1: 0.0}))
        self.assertEqual(1, better(1, {0: 0.9, 1: 0.1}))

    def test_a_core_that_another_program_takes_is_left_for_the_freest(self) -> None:
        self.assertEqual(2, better(1, {0: 0.3, 1: 0.5, 2: 0.0}))

    def test_a_small_difference_is_not_worth_a_move(self) -> None:
        self.assertEqual(1, better(1, {0: 0.0, 1: 0.2}))
        self.assertEqual(1, better(1, {0: 1.0, 1: 1.0}))
