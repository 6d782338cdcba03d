"""The load of one process: its clients in one loop, for so long. What they say is not known here."""

import heapq
import resource
import select
import time
from collections.abc import Callable

from benchmarks.clients import Client, Echoing, Paced, Tally, Visiting
from benchmarks.results import Result
from benchmarks.work import Kinds, Work
from common.errors import PorterError, Unavailable

_PATIENCE = 30.0
_MOST_ERRORS = 1000


class Load:
    """`numbers` are those of its clients among all processes' clients; closed when it is left."""

    def __init__(self, work: Work, numbers: range) -> None:
        self._work = work
        self._tally = Tally()
        self._result = Result()
        self._poller = select.poll()
        self._clients: dict[int, Client] = {}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        kind: type[Client] = Visiting if work.kind is not Kinds.MESSAGES else Paced if work.rate else Echoing
        for number in numbers:
            self._add(kind(work, number, self._tally))

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.connection.close()

    def settle(self) -> None:
        """Until all are let in, where they stay; raises PorterError or OSError if one is not."""
        deadline = time.monotonic() + _PATIENCE
        while self._work.kind is Kinds.MESSAGES and not all(client.is_in for client in self._clients.values()):
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not let all connections in")
            for descriptor, _ in self._poller.poll(100):
                self._clients[descriptor].on_event()

    def run(self, start: float, tell: Callable[[int], object]) -> Result:
        """Work from `start`, on the monotonic clock; `tell` hears each second how many answers came in it."""
        counted_from = start + self._work.warmup
        end = counted_from + self._work.seconds
        next_second = counted_from
        second = -1
        due = self._schedule(start)
        while (now := time.monotonic()) < end:
            if now >= next_second:
                if second >= 0:
                    self._count(second)
                    tell(self._result.by_second[second])
                self._tally.messages, self._tally.times = 0, []
                second += 1
                next_second += 1.0
            while due and due[0][0] <= now:
                moment, number = due[0]
                heapq.heapreplace(due, (moment + self._interval, number))
                self._step(self._paced[number], moment)
            wait = min(next_second, end, due[0][0] if due else end) - now
            for descriptor, _ in self._poller.poll(max(0.0, wait * 1000)):
                if client := self._clients.get(descriptor):
                    self._step(client)
        self._count(second)
        self._result.seconds = time.monotonic() - counted_from
        return self._result

    def _schedule(self, start: float) -> list[tuple[float, int]]:
        """When each paced client sends first: one after the other, then all again."""
        if not self._work.rate:
            return []
        self._interval = self._work.connections / self._work.rate
        self._paced = [client for client in self._clients.values() if isinstance(client, Paced)]
        apart = self._interval / len(self._paced)
        return [(start + number * apart, number) for number in range(len(self._paced))]

    def _count(self, second: int) -> None:
        self._result.messages += self._tally.messages
        self._result.by_second[second] = self._tally.messages
        self._result.add(self._tally.times)

    def _add(self, client: Client) -> None:
        self._clients[client.connection.fileno()] = client
        self._poller.register(client.connection, select.POLLIN)

    def _step(self, client: Client, moment: float | None = None) -> None:
        """Let one client go on, or send what is due at `moment`; who fails is counted, and begins again."""
        before = client.connection
        waited_to_send = before.wants_to_send
        try:
            if moment is None:
                client.on_event()
            elif isinstance(client, Paced) and client.is_in:
                client.send_one(moment)
        except (OSError, PorterError) as error:
            self._result.errors[getattr(error, "strerror", None) or str(error)] += 1
            client.is_over = True
        if client.is_over:
            self._poller.unregister(before)
            del self._clients[before.fileno()]
            before.close()
            self._open_again(client)
        elif client.connection.wants_to_send != waited_to_send:
            self._poller.modify(before, select.POLLIN | (select.POLLOUT if before.wants_to_send else 0))

    def _open_again(self, client: Client) -> None:
        if self._result.errors.total() >= _MOST_ERRORS:
            raise Unavailable(f"a thousand errors, the last: {list(self._result.errors)[-1]}")
        try:
            client.open()
        except (OSError, PorterError) as error:
            self._result.errors[getattr(error, "strerror", None) or str(error)] += 1
            raise Unavailable(f"cannot connect again: {error}") from error
        self._add(client)
