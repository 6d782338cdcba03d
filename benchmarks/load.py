"""The load of one process: it runs its clients in one loop. It does not know what they send."""

import heapq
import resource
import select
import time
from collections.abc import Callable

from benchmarks.clients import Chatting, Client, Echoing, Paced, Tally, Visiting
from benchmarks.results import Result
from benchmarks.work import Kinds, Work
from common.errors import PorterError, Unavailable

_ADMISSION_TIMEOUT = 30.0  # seconds
_MAX_ERRORS = 1000


class Load:
    """The clients with the given `numbers`, which are unique over all processes. `with` closes the connections."""

    def __init__(self, work: Work, numbers: range) -> None:
        self._work = work
        self._tally = Tally()
        self._result = Result()
        self._poller = select.poll()
        self._clients: dict[int, Client] = {}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for number in numbers:
            self._add(_client(work)(work, number, self._tally))
            if work.kind is Kinds.CHAT:  # each registers and logs in, and a server hashes only so many at a time
                self.settle()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.connection.close()

    def settle(self) -> None:
        """Wait until all clients are logged in, if their connections stay open.

        Raise PorterError or OSError if a client fails, and TimeoutError after 30 seconds.
        """
        deadline = time.monotonic() + _ADMISSION_TIMEOUT
        while self._work.stays and not all(client.is_in for client in self._clients.values()):
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not accept all connections in time; see its limits")
            for descriptor, _ in self._poller.poll(100):
                self._clients[descriptor].on_event()

    def run(self, start: float, tell: Callable[[int], object]) -> Result:
        """Work from `start`, a time of time.monotonic(). Each second, call `tell` with the number of new answers."""
        counted_from = start + self._work.warmup
        end = counted_from + self._work.seconds
        next_second = counted_from
        second, told = -1, 0
        due = self._schedule(start)
        while (now := time.monotonic()) < end:
            if now >= next_second:
                if second < 0:  # the warm-up is over
                    self._tally.begin()
                else:
                    told = self._count(second, told)
                    tell(self._result.by_second[second])
                second += 1
                next_second += 1.0
            while due and due[0][0] <= now:
                moment, number = due[0]
                heapq.heapreplace(due, (moment + self._interval, number))
                self._step(self._paced[number], moment)
            wait = min(next_second, end, due[0][0] if due else end) - now
            # poll() sleeps for whole milliseconds. Before a message is due it must not: its lateness would count.
            for descriptor, _ in self._poller.poll(max(0, int(wait * 1000) - (1 if due else 0))):
                if client := self._clients.get(descriptor):
                    self._step(client)
        self._result.seconds = now - counted_from
        self._result.messages = self._count(second, told)
        self._result.add(self._tally.times)
        return self._result

    def _schedule(self, start: float) -> list[tuple[float, int]]:
        """Return the first moment of each paced client. They send one after the other, at equal distances."""
        if not self._work.rate:
            return []
        self._interval = self._work.connections / self._work.rate
        self._paced = [client for client in self._clients.values() if isinstance(client, Paced)]
        apart = self._interval / len(self._paced)
        return [(start + number * apart, number) for number in range(len(self._paced))]

    def _count(self, second: int, told: int) -> int:
        """Note the answers of a second that were not told yet. Return how many there are in all."""
        self._result.by_second[second] = self._tally.messages - told
        return self._tally.messages

    def _add(self, client: Client) -> None:
        self._clients[client.connection.fileno()] = client
        self._poller.register(client.connection, select.POLLIN)

    def _step(self, client: Client, moment: float | None = None) -> None:
        """Let a client continue, or send the message that is due at `moment`. Count a failure, and start again."""
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
        if self._result.errors.total() >= _MAX_ERRORS:
            raise Unavailable(
                "stopped after {count} errors, for example: {last}",
                count=_MAX_ERRORS,
                last=list(self._result.errors)[-1],
            )
        try:
            client.open()
        except (OSError, PorterError) as error:
            self._result.errors[getattr(error, "strerror", None) or str(error)] += 1
            raise Unavailable("cannot connect again: {reason}", reason=error) from error
        self._add(client)


def _client(work: Work) -> type[Client]:
    if work.kind is Kinds.CHAT:
        return Chatting
    return Visiting if not work.stays else Paced if work.rate else Echoing
