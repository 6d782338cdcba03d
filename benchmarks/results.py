"""What a load came to: how many answers, how soon, and what went wrong. Where it comes from is not known here."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Result:
    """`latencies` counts answers by their time, in seconds to three digits, so that a long run takes no more room."""

    seconds: float = 0.0
    messages: int = 0
    latencies: Counter[float] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    by_second: Counter[int] = field(default_factory=Counter)

    def add(self, times: Iterable[float]) -> None:
        self.latencies.update(map(rounded, times))

    def merge(self, other: "Result") -> None:
        """Add what another process did at the same time."""
        self.seconds = max(self.seconds, other.seconds)
        self.messages += other.messages
        self.latencies += other.latencies
        self.errors += other.errors
        self.by_second += other.by_second

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.messages / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """The time within which so many percent of the answers came; nan without answers."""
        wanted = self.latencies.total() * percent / 100
        seen = 0
        for latency in sorted(self.latencies):
            seen += self.latencies[latency]
            if seen >= wanted:
                return latency
        return math.nan

    def figures(self) -> dict[str, object]:
        """For people and for --json; times in milliseconds."""
        shown: dict[str, object] = {"messages": self.messages, "seconds": round(self.seconds, 3)}
        shown["messages_per_second"] = round(self.rate, 1)
        for name, percent in (("p50", 50.0), ("p99", 99.0), ("p99_9", 99.9)):
            latency = self.percentile(percent)
            shown[f"{name}_ms"] = None if math.isnan(latency) else round(latency * 1000, 4)
        shown["errors"] = dict(self.errors)
        return shown


def rounded(seconds: float) -> float:
    """To three digits."""
    return float(f"{seconds:.2e}")
