"""Which cores a process runs on. One core makes a server of many threads twice as fast as two do, since the
interpreter's lock then changes hands without the cores having to agree; so several cores take several processes.
"""

import os


class Cores:
    """Those that were allowed when it was made; where the system does not tell, nothing is changed."""

    def __init__(self) -> None:
        self._all = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def __len__(self) -> int:
        """How many there are, which in a container are fewer than the machine has."""
        return len(self._all) or os.cpu_count() or 1

    def keep_to(self, number: int) -> None:
        """Have this thread, and those it starts from now on, run on one core: the `number`th, counted round."""
        if self._all:
            os.sched_setaffinity(0, {self._all[number % len(self._all)]})

    def use_all(self) -> None:
        """Have this thread run anywhere again."""
        if self._all:
            os.sched_setaffinity(0, self._all)
