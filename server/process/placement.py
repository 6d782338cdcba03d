"""Keeps the threads of this process on one core, and makes way for others. What the threads do is not known here.

Python's interpreter lock costs little between threads that share a core, and much between cores: conversations that
ask the database are three times as quick on one. But another program may work on that core. So four times a second
the process looks at all cores, and moves to another one if that is much less taken up.
"""

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from server.machine import cores

# Not always the same, or two servers that meet on a core would move together.
_SHORTEST_PERIOD, _LONGEST_PERIOD = 150, 350  # milliseconds
_MUCH = 0.25  # of a core
_APART = "hash"  # threads of this name hold no lock while they work, and use all cores
_STAT = Path("/proc/stat")


def better(core: int, taken: dict[int, float]) -> int:
    """Return the core to be on: `core`, unless another one is much less taken up by others (0.0 to 1.0)."""
    freest = min(taken, key=lambda each: taken[each])
    return freest if taken[core] > taken[freest] + _MUCH else core


def _period() -> float:
    return (_SHORTEST_PERIOD + secrets.randbelow(_LONGEST_PERIOD - _SHORTEST_PERIOD)) / 1000


class _Times(NamedTuple):
    time: float
    spent: float
    busy: dict[int, float]


class Placement:
    """The core of this process, inside `with`; it begins on the `number`th of those that it may use.

    With a single core nothing is done, nor where /proc/stat is missing or tells nothing of these cores, as in some
    containers: to be kept on a core without seeing who else is there would be worse than nothing.
    """

    def __init__(self, number: int) -> None:
        self._cores = cores()
        self._core = self._cores[number % len(self._cores)]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="placement", daemon=True)

    def __enter__(self) -> Self:
        if len(self._cores) > 1 and hasattr(os, "sched_setaffinity") and self._sees_all():
            self._place()
            self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _sees_all(self) -> bool:
        """Return whether /proc/stat tells of each core that it has been busy."""
        look = self._look()
        return look is not None and all(look.busy.values())

    def _run(self) -> None:
        before = self._look()
        while not self._is_over.wait(_period()):
            now = self._look()
            if before is not None and now is not None:
                taken = {
                    core: (now.busy[core] - before.busy[core]) / (now.time - before.time) for core in self._cores
                }
                taken[self._core] -= (now.spent - before.spent) / (now.time - before.time)
                self._core = better(self._core, taken)
            self._place()  # each time, since there may be new threads
            before = now

    def _place(self) -> None:
        """Put the threads on the core. The main thread stays free: it makes the threads that use all cores."""
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.name.startswith(_APART):
                with contextlib.suppress(OSError):  # it has just ended, or the core is not ours any more
                    os.sched_setaffinity(thread.native_id or 0, {self._core})

    def _look(self) -> "_Times | None":
        """Return the times of now, or None if they cannot be had: a process may have no descriptor left to read."""
        with contextlib.suppress(OSError, ValueError):
            return _Times(time.monotonic(), self._spent(), self._busy())
        return None

    def _spent(self) -> float:
        """Return the seconds of processor time that the threads on the core have used so far."""
        apart = 0.0
        for thread in threading.enumerate():
            if thread.name.startswith(_APART):
                with contextlib.suppress(FileNotFoundError):  # it has just ended
                    apart += int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9
        return time.process_time() - apart

    def _busy(self) -> dict[int, float]:
        """Return for how many seconds each core has been busy since the start of the machine (proc(5))."""
        tick = os.sysconf("SC_CLK_TCK")
        found = dict.fromkeys(self._cores, 0.0)
        for line in _STAT.read_text().splitlines():
            name, *ticks = line.split()
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in found:
                user, nice, system, _, _, irq, softirq, *_ = map(int, ticks)
                found[int(name[3:])] = (user + nice + system + irq + softirq) / tick
        return found
