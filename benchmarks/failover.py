"""Simulates how clients come back after one of two servers was lost: how long it takes, and how often they knock.

The survivor lets clients in one after the other. Who waits longer than five seconds gives up and comes again, and is
served in vain. Nothing is sent: the rates are those that were measured (docs/scale.md).
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import ExitStatus

_PATIENCE = 5.0  # seconds that a client waits for its login
_LONGEST = 600.0  # simulated seconds
_ENOUGH = 0.99  # of the clients

Policy = Callable[[int, random.Random], float]
"""Returns the pause in seconds before a try, by its number from 0."""


def jitter(number: int, chance: random.Random) -> float:
    """Wait as Porter's client does."""
    return chance.uniform(0, min(30.0, 0.5 * 2.0**number))


def no_jitter(number: int, _chance: random.Random) -> float:
    return min(30.0, 0.5 * 2.0**number)


def each_second(_number: int, _chance: random.Random) -> float:
    return 1.0


POLICIES: dict[str, Policy] = {
    "full jitter, 0.5 s doubling to 30 s": jitter,
    "the same without jitter": no_jitter,
    "once a second": each_second,
}


@dataclass(frozen=True)
class Server:
    """The survivor: how many it lets in a second, and how many may wait. The next ones are refused at once."""

    rate: float
    room: int = 4096


SERVERS = {
    "with a token": Server(1100),
    "with a token, over TLS": Server(575),  # a handshake takes as long as a resume
    "one writers' lock for all, as before": Server(75),
    "with a password": Server(70, 16),  # the others are told that the server is busy
}


@dataclass(frozen=True)
class Outcome:
    """How it went: seconds until 99 % were back, tries of each, and how many are back at the end of each second."""

    seconds: float
    tries: float
    back: list[int]


def simulate(clients: int, server: Server, policy: Policy, seed: int = 1) -> Outcome:
    """Lose `clients` at the moment 0, and let them come back."""
    chance = random.Random(seed)  # not for security: the same each time
    arrivals = [(policy(0, chance), client, 0) for client in range(clients)]  # moment, client, number of the try
    heapq.heapify(arrivals)
    queue: deque[tuple[float, int]] = deque()
    back: list[int] = []  # at the end of each second
    tries = 0
    now = 0.0  # when the server is free
    served: set[int] = set()

    def try_again(moment: float, client: int, number: int) -> None:
        heapq.heappush(arrivals, (moment + policy(number + 1, chance), client, number + 1))

    while len(served) < clients * _ENOUGH and now < _LONGEST:
        if queue and (not arrivals or now <= arrivals[0][0]):
            arrived, client = queue.popleft()
            now = max(now, arrived) + 1 / server.rate
            back += [len(served)] * (int(now) - len(back))
            if now - arrived <= _PATIENCE:
                served.add(client)
            continue
        moment, client, number = heapq.heappop(arrivals)
        if client not in served:
            tries += 1
            has_room = len(queue) < server.room
            if has_room:
                queue.append((moment, client))
            try_again(moment + (_PATIENCE if has_room else 0.0), client, number)  # unless it is served by then
    return Outcome(now, tries / clients, [*back, len(served)])


def main(clients: int, picture: Path | None) -> ExitStatus:
    """Print a table of all servers and policies, and draw the curves if `picture` is given."""
    print(f"| {clients:,} clients lost, until 99 % are back (tries each) | " + " | ".join(POLICIES) + " |")
    print("|---" * (len(POLICIES) + 1) + "|")
    found: dict[str, dict[str, Outcome]] = {}
    for name, server in SERVERS.items():
        found[name] = {policy: simulate(clients, server, pause) for policy, pause in POLICIES.items()}
        cells = [_cell(outcome) for outcome in found[name].values()]
        print(f"| {name} ({server.rate:,.0f} a second) | " + " | ".join(cells) + " |")
    if picture is not None:
        from benchmarks.chart import draw_failover

        draw_failover(picture, {name: {key: one.back for key, one in row.items()} for name, row in found.items()})
    return ExitStatus.DONE


def _cell(outcome: Outcome) -> str:
    seconds = f"{outcome.seconds:.1f} s" if outcome.seconds < _LONGEST else f"more than {_LONGEST:.0f} s"
    return f"{seconds} ({outcome.tries:.1f})"
