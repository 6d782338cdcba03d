"""A drain: few connections end at once, many one after the other, and whoever takes too long is cut."""

import time

from server.engine.admission import Connections
from server.engine.draining import drain
from server.settings import Limits
from tests.support import PorterTestCase


class Idle:
    """A connection that ends as soon as it is stopped."""

    def __init__(self, connections: "Connections[Idle]", *, obeys: bool = True) -> None:
        self.ended_at = 0.0
        self._connections = connections
        self._obeys = obeys

    def stop(self) -> None:
        if self._obeys:
            self.cut()

    def cut(self) -> None:
        self.ended_at = time.monotonic()
        self._connections.remove(self)


class Drain(PorterTestCase):
    def connections(self, count: int, *, obeys: bool = True) -> tuple[Connections[Idle], list[Idle]]:
        connections: Connections[Idle] = Connections()
        idle = [Idle(connections, obeys=obeys) for _ in range(count)]
        for each in idle:
            connections.admit(each, "", Limits(max_connections=count))
        return connections, idle

    def test_two_hundred_end_at_once(self) -> None:
        connections, idle = self.connections(200)
        self.assertEqual(0, drain(connections, 5.0))
        self.assertLess(idle[-1].ended_at - idle[0].ended_at, 0.1)

    def test_more_end_at_five_hundred_a_second(self) -> None:
        connections, idle = self.connections(600)
        self.assertEqual(0, drain(connections, 5.0))
        self.assertGreater(idle[-1].ended_at - idle[0].ended_at, 575 / 500)
        for first, later in zip(idle, idle[250:], strict=False):
            self.assertGreater(later.ended_at - first.ended_at, 0.4)

    def test_many_have_ended_when_the_time_is_over(self) -> None:
        connections, _ = self.connections(2000)
        start = time.monotonic()
        self.assertEqual(0, drain(connections, 1.0))
        self.assertLess(time.monotonic() - start, 1.0)

    def test_whoever_does_not_end_is_cut(self) -> None:
        connections, idle = self.connections(3, obeys=False)
        self.assertEqual(3, drain(connections, 0.05))
        self.assertTrue(all(each.ended_at for each in idle))
