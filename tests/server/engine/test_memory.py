"""Giving memory back: after many connections have ended, and not all the time."""

import time
import unittest
from unittest import mock

from server.engine import memory
from server.engine.memory import Memory


class Giving(unittest.TestCase):
    def setUp(self) -> None:
        self.given = self.enterContext(mock.patch.object(memory, "give_back")).mock_calls
        self.now = 0.0
        self.enterContext(mock.patch.object(time, "monotonic", lambda: self.now))
        self.memory = Memory()

    def heed(self, served: int, connections: int, times: int = 1) -> None:
        for _ in range(times):
            self.memory.heed(served, connections)
            self.now += 1

    def test_when_many_have_ended_it_is_given_back_a_few_times(self) -> None:
        self.heed(100, 100)
        self.heed(100, 51)
        self.assertEqual([], self.given)
        self.heed(100, 50, times=10)
        self.assertEqual(4, len(self.given))

    def test_those_that_came_and_went_unseen_count_too(self) -> None:
        self.heed(0, 0)
        self.heed(200, 0)
        self.assertEqual(1, len(self.given))

    def test_a_few_connections_are_not_worth_it(self) -> None:
        self.heed(10, 0)
        self.heed(49, 0)
        self.assertEqual([], self.given)

    def test_those_who_stay_are_counted_when_they_leave(self) -> None:
        self.heed(200, 100, times=10)
        self.assertEqual(4, len(self.given))
        self.heed(200, 40, times=10)
        self.assertEqual(8, len(self.given))

    def test_however_often_it_is_called_it_does_so_once_a_second(self) -> None:
        for _ in range(10):
            self.memory.heed(100, 0)
        self.assertEqual(1, len(self.given))


class Library(unittest.TestCase):
    def test_without_descriptors_it_is_left_for_another_time(self) -> None:
        memory._trim.cache_clear()
        self.addCleanup(memory._trim.cache_clear)
        with mock.patch("ctypes.CDLL", side_effect=OSError(24, "too many open files")) as load:
            memory.give_back()
            memory.give_back()
        self.assertEqual(2, load.call_count)

    def test_the_c_library_is_asked_where_it_can_be(self) -> None:
        memory.give_back()
        with mock.patch("ctypes.CDLL", return_value=object()):
            memory._trim.cache_clear()
            memory.give_back()
        memory._trim.cache_clear()
