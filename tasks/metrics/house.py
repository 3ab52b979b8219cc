"""All families of one data root, as Prometheus' client asks for them."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from infra.errors import CxrError, InputError
from infra.facts.contract import VERSION
from infra.llm.status import read_status
from infra.log import LOGGER
from infra.settings.environment import Environment
from infra.store import Store
from tasks.metrics.families import (
    FLOW,
    flow_families,
    gauge,
    language_model_families,
    source_families,
    step_families,
)
from tasks.metrics.model_families import drift_families, model_families, stage_families
from tasks.metrics.reading import FactReader
from tasks.metrics.tally import Key, Tally
from tasks.monitor.alias_facts import observe_aliases
from tasks.monitor.recorded import settle_dead

YOUNG_SECONDS: Final = 120.0
"""Our choice: four scrapes at the interval of infra/deploy/prometheus/prometheus.yml."""


class Births:
    """New counters stand at zero for a while, so that ``increase()`` sees their first numbers.

    What is there at the first scrape is as old as it may be: it is shown as it is.
    """

    def __init__(self, young_seconds: float) -> None:
        self._young_seconds, self._born = young_seconds, dict[tuple[str, Key], float]()
        self._is_first = True

    def shown(self, families: Iterable[Metric]) -> Iterator[Metric]:
        """The families as they may be shown now."""
        now = time.monotonic()
        for family in families:
            if family.type in ("counter", "histogram"):
                family.samples = [self._sample(sample, now) for sample in family.samples]
            yield family
        self._is_first = False

    def _sample(self, sample: Sample, now: float) -> Sample:
        key = (sample.name, tuple(sample.labels.values()))
        born = self._born.setdefault(key, -math.inf if self._is_first else now)
        return sample._replace(value=0.0) if now - born < self._young_seconds else sample


class House(Collector):
    """Counts a data root's facts at every scrape; safe for the server's threads.

    Args:
        young_seconds: how long new counters stand at zero.
    """

    def __init__(
        self, store: Store, environment: Environment, young_seconds: float = YOUNG_SECONDS
    ) -> None:
        self._store, self._environment = store, environment
        self._reader, self._lock = FactReader(store), threading.Lock()
        self._births = Births(young_seconds)
        self._registry_answers = True

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the names depend on the facts."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families as of now."""
        with self._lock:
            self._settle()
            yield from self._births.shown(self._counted(self._reader.tally()))
            yield from self._own()
        yield from self._disk()
        yield from self._money()

    def _settle(self) -> None:
        """Settle killed runs, if this process may write there; they are in no number until then."""
        try:
            settle_dead(self._store)
        except (OSError, InputError) as error:
            LOGGER.warning("killed runs are not settled: %s", error)

    def _counted(self, tally: Tally) -> Iterator[Metric]:
        now = datetime.now(UTC)
        yield from flow_families(tally, now)
        yield from step_families(tally)
        yield from source_families(tally, now)
        yield from language_model_families(tally)
        yield from stage_families(tally)
        yield from model_families(tally)
        yield from drift_families(tally)

    def look_at_registry(self) -> None:
        """Write facts of aliases that were moved; a registry that does not answer is shown."""
        try:
            observe_aliases(self._store, self._environment)
        except (CxrError, OSError) as error:
            if self._registry_answers:
                LOGGER.warning("aliases are not looked at: %s", error)
            self._registry_answers = False
        else:
            self._registry_answers = True

    def _own(self) -> Iterator[Metric]:
        running = Counter(tuple(each.run[name] for name in FLOW) for each in self._reader.running)
        yield gauge("cxr_flow_running", "Flow runs under way.", FLOW, running.items())
        yield gauge(
            "cxr_build_info",
            "1; the versions of the code and of the facts.",
            ("version", "facts"),
            [((version("cxrflow"), str(VERSION)), 1.0)],
        )
        for name, text, value in (
            ("facts_runs", "Ended runs that the endpoint has read.", self._reader.runs),
            ("facts_unreadable_files", "Damaged files of facts.", self._reader.unreadable),
            ("registry_answers", "1 where the model registry does.", self._registry_answers),
        ):
            yield gauge(f"cxr_{name}", text, (), [((), float(value))])

    def _disk(self) -> Iterator[Metric]:
        """Of local places; an object store has no end."""
        places = {"state": self._store.state}
        if self._store.is_local:
            places["data"] = Path(self._store.path(""))
        usage = {name: shutil.disk_usage(path) for name, path in places.items() if path.is_dir()}
        label = ("place",)
        free = (((name,), float(used.free)) for name, used in usage.items())
        yield gauge("cxr_disk_free_bytes", "Free on the data root's and state's disk.", label, free)
        size = (((name,), float(used.total)) for name, used in usage.items())
        yield gauge("cxr_disk_size_bytes", "Size of these disks.", label, size)

    def _money(self) -> Iterator[Metric]:
        """What the state folder's ledger has spent now, and what it may spend at all."""
        budget = self._environment.llm_budget_usd
        status = read_status(self._store.state, budget)
        spent = [((), status.spent_usd + status.reserved_usd)]
        yield gauge("cxr_llm_spent_usd", "Spent and reserved, from the ledger.", (), spent)
        held = [] if budget is None else [((), budget)]
        yield gauge("cxr_llm_budget_usd", "All that may be spent; absent without one.", (), held)
