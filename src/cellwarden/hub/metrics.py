"""What the hub counts, for Prometheus."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cellwarden.hub.service import Hub

__all__ = ["Metrics"]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(Collector):
    """A registry of the hub's own; what the ingest counts is read when somebody asks."""

    def __init__(self, hub: Hub, clients: Callable[[], int]) -> None:
        self._hub = hub
        self._clients = clients
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests = Counter(
            "cellwarden_http_requests",
            "Answers given",
            ("method", "route", "status"),
            registry=self._registry,
        )

    def count(self, method: str, route: str, status: int) -> None:
        """One more answer; whatever a client invents is counted as one kind."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()

    def text(self) -> bytes:
        """All of it in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What is counted elsewhere."""
        ingest = self._hub.ingest
        yield CounterMetricFamily(
            "cellwarden_batches_accepted", "Batches believed", ingest.accepted_count
        )
        yield CounterMetricFamily(
            "cellwarden_batches_refused", "Messages refused", ingest.refused_count
        )
        yield GaugeMetricFamily(
            "cellwarden_waiting_bytes", "Received, not stored yet", ingest.waiting_byte_count
        )
        yield GaugeMetricFamily(
            "cellwarden_ledger_entries", "Size of the tree", self._hub.ledger.head()[0].size
        )
        yield GaugeMetricFamily("cellwarden_devices", "Devices heard of", len(ingest.latest))
        yield GaugeMetricFamily("cellwarden_event_streams", "Pages listening", self._clients())
        spent = CounterMetricFamily(
            "cellwarden_stage_seconds", "CPU time of the ingest", labels=("stage",)
        )
        for stage, second in list(ingest.stage_second.items()):
            spent.add_metric([stage], second)
        yield spent
