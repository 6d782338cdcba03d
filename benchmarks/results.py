"""The result of a load: number of answers, latencies, errors. This module does not know how they are measured."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Result:
    """The result of one process or of all.

    `latencies` counts the answers by their latency in seconds, rounded to three digits: so a long run needs no more
    memory than a short one.
    """

    seconds: float = 0.0
    messages: int = 0
    latencies: Counter[float] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    by_second: Counter[int] = field(default_factory=Counter)

    def add(self, times: Mapping[int, int]) -> None:
        """Add how many answers took how many microseconds."""
        for microseconds, count in times.items():
            self.latencies[rounded(microseconds / 1e6)] += count

    def merge(self, other: "Result") -> None:
        """Add the result of another process that worked at the same time."""
        self.seconds = max(self.seconds, other.seconds)
        self.messages += other.messages
        self.latencies += other.latencies
        self.errors += other.errors
        self.by_second += other.by_second

    @property
    def rate(self) -> float:
        """Return the number of answers a second."""
        return self.messages / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Return the time, in seconds, within which `percent` of the answers came; nan without answers."""
        wanted = self.latencies.total() * percent / 100
        seen = 0
        for latency in sorted(self.latencies):
            seen += self.latencies[latency]
            if seen >= wanted:
                return latency
        return math.nan

    def figures(self) -> dict[str, object]:
        """Return the figures for the output, also for --json. Latencies are in milliseconds."""
        shown: dict[str, object] = {"messages": self.messages, "seconds": round(self.seconds, 3)}
        shown["messages_per_second"] = round(self.rate, 1)
        for name, percent in (("p50", 50.0), ("p99", 99.0), ("p99_9", 99.9)):
            latency = self.percentile(percent)
            shown[f"{name}_ms"] = None if math.isnan(latency) else round(latency * 1000, 4)
        shown["errors"] = dict(self.errors)
        return shown


def rounded(seconds: float) -> float:
    """Return the time rounded to three digits."""
    return float(f"{seconds:.2e}")
