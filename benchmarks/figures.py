"""What a comparison measures, and the figures of each server. The measurements are in compare.py and curve.py."""

from dataclasses import dataclass, replace

from benchmarks.work import Kinds, Work

_BASE = Work("127.0.0.1", 0, warmup=0.3)
CELLS = {
    "1/1": replace(_BASE, connections=1),
    "64/1": _BASE,
    "64/16": replace(_BASE, depth=16),
    "500/1": replace(_BASE, connections=500),
    "16/1 of 64 KiB": replace(_BASE, connections=16, size=65536),
    "connecting": replace(_BASE, connections=32, kind=Kinds.CONNECT),
}


@dataclass(frozen=True)
class Figure:
    """The medians of a server: messages a second, and microseconds of its processor time for each message."""

    rate: float
    cost: float


Figures = dict[str, dict[str, Figure]]


@dataclass(frozen=True)
class Point:
    """What a server does at a rate: the median and the 99th percentile of the latency, in milliseconds."""

    rate: int
    p50: float
    p99: float


Curves = dict[str, list[Point]]
"""The points of each server; none at a rate with which it does not keep up."""
