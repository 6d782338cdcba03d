"""Runs the load in several processes and merges their results: a Python process uses no more than one core."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.load import Load
from benchmarks.results import Result
from benchmarks.work import Work
from common.errors import PorterError, Unavailable

_READY = "ready"


def measure(
    work: Work, processes: int, tell: Callable[[int], object] = lambda _: None, cores: Sequence[int] | None = None
) -> Result:
    """Do the work in several processes, on `cores` if given, and return the result of all.

    Each process calls `tell` once a second with the number of its new answers. Raise Unavailable if a process fails.
    """
    processes = min(processes, work.connections)
    context = multiprocessing.get_context("fork")
    bounds = [work.connections * number // processes for number in range(processes + 1)]
    children = []
    for first, last in pairwise(bounds):
        ours, theirs = context.Pipe()
        child = context.Process(target=_work, args=(theirs, work, range(first, last), cores), daemon=True)
        child.start()
        theirs.close()
        children.append((child, ours))
    try:
        pipes = [pipe for _, pipe in children]
        for pipe in pipes:
            _receive(pipe)
        start = time.monotonic() + 0.05
        for pipe in pipes:
            pipe.send(start)
        return _gather(pipes, tell)
    finally:
        for child, pipe in children:
            child.terminate()
            child.join()
            pipe.close()


def _gather(pipes: list[Connection], tell: Callable[[int], object]) -> Result:
    total = Result()
    left = list(pipes)
    while left:
        for pipe in wait(left):
            assert isinstance(pipe, Connection)
            message = _receive(pipe)
            if isinstance(message, Result):
                total.merge(message)
                left.remove(pipe)
            else:
                tell(message)
    return total


def _receive(pipe: Connection) -> Any:
    try:
        message = pipe.recv()
    except EOFError:
        raise Unavailable("a process of the load generator has died") from None
    if isinstance(message, PorterError):
        raise message
    return message


def _work(pipe: Connection, work: Work, numbers: range, cores: Sequence[int] | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # `terminate` ends it at once
    if cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    try:
        with Load(work, numbers) as load:
            load.settle()
            pipe.send(_READY)
            pipe.send(load.run(pipe.recv(), pipe.send))
    except PorterError as error:
        pipe.send(Unavailable("{reason}", reason=str(error)))
    except OSError as error:
        reason = error.strerror or str(error)
        pipe.send(Unavailable("{host}, port {port}: {reason}", host=work.host, port=work.port, reason=reason))
    except KeyboardInterrupt:
        pass
