"""What the endpoints of a whole house tell, for the tests of dashboards and alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tasks.metrics.serve import metrics_text
from tests.facts_world import place, write_history
from tests.test_facts_open_runs import started

Series = dict[str, list[dict[str, str]]]
SERVING = (
    *("ready", "places", "places_most", "waiting", "live", "swaps", "swap_failures", "restarts"),
    "trouble",
)


class ServingNumbers:
    """What ``cxr serve`` tells, by the names and labels that its dashboard and alerts rely on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        told = {"registry": self.registry}
        self.requests = Counter("cxr_serve_requests", "x", ["route", "status"], **told)
        self.seconds = Histogram("cxr_serve_seconds", "x", ["route"], **told)
        for name in SERVING:
            Gauge(f"cxr_serve_{name}", "x", ["part"], **told).labels("findings").set(
                8 if name == "places_most" else 1
            )
        info = Gauge("cxr_serve_model_info", "x", ["part", "model", "version"], **told)
        info.labels("findings", "llava_rad", "5").set(1)

    def answer(self) -> None:
        """One of every kind of end."""
        for status in ("200", "429", "500"):
            self.requests.labels("/v1/findings", status).inc()
        self.seconds.labels("/v1/findings").observe(0.3)


def all_series(root: Path) -> Series:
    """By name, the labels of every series of a house with a history, a running flow and a
    serving process."""
    store = write_history(root, datetime.now(UTC))
    started(store, "live")
    serving = ServingNumbers()
    serving.answer()
    texts = (
        metrics_text(store, place(root, llm_budget_usd=5.0)),
        generate_latest(serving.registry).decode(),
    )
    found: Series = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(dict(sample.labels))
    return found
