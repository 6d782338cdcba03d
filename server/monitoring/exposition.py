"""The text of /metrics: the counts of all processes, in the form that Prometheus reads. It knows no sockets."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from common import VERSION
from server.counts import BUCKETS, Count, SharedCounts

_REFUSED = {"full": Count.REFUSED_FULL, "address": Count.REFUSED_ADDRESS, "other": Count.REFUSED_OTHER}
_LOGINS = {
    "password": Count.LOGIN_PASSWORD,
    "token": Count.LOGIN_TOKEN,
    "registered": Count.LOGIN_REGISTERED,
    "refused": Count.LOGIN_REFUSED,
    "busy": Count.LOGIN_BUSY,
}


class Exposition(Collector):
    """Makes the text. No name, address or account is a label."""

    def __init__(self, counts: SharedCounts) -> None:
        self._counts = counts
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        yield _gauge("porter_connections", "Open connections", counts.sum(Count.CONNECTIONS))
        yield _counter("porter_connections", "Connections accepted", {(): counts.sum(Count.CONNECTED)})
        yield self._by("porter_connections_refused", "Connections refused", "reason", _REFUSED)
        directions = {"received": Count.RECEIVED, "sent": Count.SENT}
        yield self._by("porter_messages", "Messages", "direction", directions)
        directions = {"received": Count.RECEIVED_BYTES, "sent": Count.SENT_BYTES}
        yield self._by("porter_message_bytes", "Bytes in the bodies of messages", "direction", directions)
        yield self._by("porter_logins", "Logins that were tried, by how they ended", "outcome", _LOGINS)
        yield self._durations()
        yield _gauge(
            "porter_store_up", "Whether the last look at the store succeeded", not counts.sum(Count.STORE_IS_DOWN)
        )
        yield _counter("porter_log_records_lost", "Log records lost", {(): counts.sum(Count.RECORDS_LOST)})
        workers = sum(pid > 0 for pid in counts.column(Count.PID))
        yield _gauge("porter_workers", "Processes that serve", workers)
        info = GaugeMetricFamily("porter_build_info", "The version of Porter", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info

    def _by(self, name: str, text: str, label: str, counts: dict[str, Count]) -> Metric:
        return _counter(name, text, {(value,): self._counts.sum(count) for value, count in counts.items()}, label)

    def _durations(self) -> Metric:
        family = HistogramMetricFamily("porter_login_duration_seconds", "Time that a login took, its questions aside")
        total, buckets = 0, []
        for place, bound in enumerate([*map(str, BUCKETS), "+Inf"]):
            total += self._counts.sum(Count.LOGIN_BUCKETS + place)
            buckets.append((bound, total))
        family.add_metric([], buckets, self._counts.sum(Count.LOGIN_MICROSECONDS) / 1e6)
        return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, values: dict[tuple[str, ...], int], *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family
