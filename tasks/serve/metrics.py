"""Numbers for Prometheus: counted as requests end, or read from the children when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.serve.keeper import Keeper

CONTENT_TYPE = "text/plain; version=0.0.4"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """What one server counts; labels are routes, statuses and parts, never anything sent."""

    def __init__(self, keepers: dict[str, Keeper]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "cxr_serve_requests", "Requests by route and status", ["route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "cxr_serve_seconds", "Seconds from a request's head to its answer's end", ["route"],
            registry=self._registry, buckets=_SECONDS,
        )  # fmt: skip
        self._registry.register(_Children(keepers))

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request has ended."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)


class _Children(Collector):
    """How each model's child is doing now."""

    def __init__(self, keepers: dict[str, Keeper]) -> None:
        self._keepers = keepers

    def collect(self) -> Iterator[Metric]:
        for name, about, value in _GAUGES:
            family = GaugeMetricFamily(f"cxr_serve_{name}", about, labels=["part"])
            for part, keeper in self._keepers.items():
                family.add_metric([part], float(value(keeper)))
            yield family
        known = GaugeMetricFamily(
            "cxr_serve_model_info", "The version that answers", labels=["part", "model", "version"]
        )
        for part, keeper in self._keepers.items():
            if keeper.version is not None:
                known.add_metric([part, keeper.version.name, keeper.version.number], 1.0)
        yield known


def _of_child(name: str, keeper: Keeper) -> float:
    child = keeper.desk.child
    return 0.0 if child is None else float(getattr(child.busy, name))


_GAUGES = (
    ("ready", "Whether a child answers", lambda keeper: keeper.desk.child is not None),
    ("places", "Asks that are here", lambda keeper: keeper.desk.places),
    ("places_most", "Asks that may be here; one more is answered 429",
     lambda keeper: keeper.desk.most),
    ("waiting", "Asks that the child has not begun", lambda keeper: _of_child("waiting", keeper)),
    ("live", "Answers being written", lambda keeper: _of_child("live", keeper)),
    ("steps", "Steps of the child since its start", lambda keeper: _of_child("steps", keeper)),
    ("tokens", "Tokens, or films, of the child since its start",
     lambda keeper: _of_child("tokens", keeper)),
    ("swaps", "Versions that took over since the start", lambda keeper: keeper.swaps),
    ("swap_failures", "Versions that could not be loaded", lambda keeper: keeper.failures),
    ("restarts", "Children started for one that died", lambda keeper: keeper.restarts),
    ("trouble", "Whether the alias cannot be followed", lambda keeper: keeper.trouble is not None),
)  # fmt: skip
