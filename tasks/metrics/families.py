"""A tally as Prometheus' metric families: names, labels, units.

Labels are flows, recipes, scales, sources, steps, tasks, stages and models; never a run, a
fingerprint, a study or a message. Everything is counted from facts, so that counters go on where
they were after a restart of the endpoint.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from infra.facts.contract import RUN_STATES, TRIGGERS
from tasks.metrics.tally import BROKEN, USUAL_BUILDS, Ended, Key, Tally

RECENT = timedelta(days=7)
"""Our choice: what a weekly meeting looks at."""
FORGOTTEN = timedelta(days=90)
"""Flows and sources that were not heard of for so long were given up: what is newest of them is no
longer shown, or alerts would ask for them for ever. Our choice: a season."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DURATIONS: Final = (
    *(10.0, 20.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE),
    *(30 * MINUTE, 45 * MINUTE, HOUR, 1.5 * HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR),
    *(8 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY),
)
LATENESS: Final = (10.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY)
RECOVERY: Final = (5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 3 * DAY, 7 * DAY)
"""Bounds of histograms in seconds. Our choice: what people say, from a cached run to a week's
training, close enough for a quantile between two of them to mean something."""
MOST_REASONS: Final = 15
"""Reasons of rejection shown for a source and step, the others summed up. Our choice."""
OTHER = "other"
_FEWEST_INTERVALS = 2  # our choice: one interval is a chance
FLOW: Final = ("flow", "recipe", "scale")
Labels = Sequence[str]


def gauge(name: str, text: str, labels: Labels, found: Iterable[tuple[Key, float]]) -> Metric:
    """Newest values by label values."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in found:
        family.add_metric(key, value)
    return family


def counter(name: str, text: str, labels: Labels, found: Iterable[tuple[Key, float]]) -> Metric:
    """Sums by label values; Prometheus adds ``_total`` to the name."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in found:
        family.add_metric(key, value)
    return family


def histogram(
    name: str,
    text: str,
    labels: Labels,
    bounds: Sequence[float],
    found: Mapping[Key, Sequence[float]],
) -> Metric:
    """Numbers by label values, counted up to each bound."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, values in found.items():
        counts = [(str(bound), sum(value <= bound for value in values)) for bound in bounds]
        family.add_metric(key, [*counts, ("+Inf", len(values))], sum(values))
    return family


def flow_families(tally: Tally, now: datetime) -> Iterator[Metric]:
    """How flows go: ends, durations, lateness, recoveries."""
    runs = {key: sorted(found) for key, found in tally.runs.items()}
    yield counter(
        "cxr_flow_runs",
        "Flow runs that ended, by state and by what started them.",
        (*FLOW, "state", "trigger"),
        (
            ((*key, state, trigger), _count(found, state, trigger))
            for key, found in runs.items()
            for state in RUN_STATES
            for trigger in TRIGGERS
        ),
    )
    recent = {key: [r for r in found if r.at > now - RECENT] for key, found in runs.items()}
    yield gauge(
        "cxr_flow_runs_recent",
        "Flow runs that ended in the last 7 days.",
        (*FLOW, "state"),
        (
            ((*key, state), sum(run.state == state for run in found))
            for key, found in recent.items()
            for state in RUN_STATES
        ),
    )
    known = {key: found for key, found in runs.items() if found[-1].at > now - FORGOTTEN}
    yield from _newest_runs(known)
    yield from _flow_histograms(tally, runs)


def _count(found: Sequence[Ended], state: str, trigger: str) -> int:
    return sum((run.state, run.trigger) == (state, trigger) for run in found)


def _newest_runs(runs: Mapping[Key, Sequence[Ended]]) -> Iterator[Metric]:
    last = {key: found[-1] for key, found in runs.items()}
    good = {key: [run for run in found if run.state == "completed"] for key, found in runs.items()}
    yield gauge(
        "cxr_flow_failing",
        "1 where the flow's last run failed or was killed.",
        FLOW,
        ((key, float(run.state in BROKEN)) for key, run in last.items()),
    )
    yield gauge(
        "cxr_flow_last_end_timestamp_seconds",
        "When the flow's last run ended.",
        FLOW,
        ((key, run.at.timestamp()) for key, run in last.items()),
    )
    yield gauge(
        "cxr_flow_last_success_timestamp_seconds",
        "When the flow's last good run ended.",
        FLOW,
        ((key, found[-1].at.timestamp()) for key, found in good.items() if found),
    )
    yield gauge(
        "cxr_flow_last_duration_seconds",
        "How long the flow's last good run took.",
        FLOW,
        ((key, found[-1].seconds) for key, found in good.items() if found),
    )
    yield gauge(
        "cxr_flow_last_late_seconds",
        "How long after its time the flow's last scheduled run started.",
        FLOW,
        (
            (key, late[-1])
            for key, found in runs.items()
            if (late := [r.late_seconds for r in found if r.late_seconds is not None])
        ),
    )

    yield gauge(
        "cxr_flow_usual_interval_seconds",
        "Median time between the starts of the flow's last scheduled runs, of three at least.",
        FLOW,
        ((key, seconds) for key, found in runs.items() if (seconds := usual_interval(found))),
    )


def usual_interval(found: Sequence[Ended]) -> float | None:
    """Seconds between scheduled starts, so that nobody need tell an alert the schedule."""
    starts = sorted(run.at.timestamp() - run.seconds for run in found if run.trigger == "schedule")
    apart = [after - before for before, after in pairwise(starts)][-USUAL_BUILDS:]
    return median(apart) if len(apart) >= _FEWEST_INTERVALS else None


def _flow_histograms(tally: Tally, runs: Mapping[Key, Sequence[Ended]]) -> Iterator[Metric]:
    took, late = {}, {}
    recovered: dict[Key, list[float]] = {key: [] for key in runs}
    for key, found in runs.items():
        took[key] = [run.seconds for run in found if run.state == "completed"]
        late[key] = [run.late_seconds for run in found if run.late_seconds is not None]
    for key, seconds in tally.recoveries():
        recovered[key].append(seconds)
    yield histogram(
        "cxr_flow_duration_seconds", "How long good flow runs took.", FLOW, DURATIONS, took
    )
    yield histogram(
        "cxr_flow_late_seconds", "How long after their time runs started.", FLOW, LATENESS, late
    )
    yield histogram(
        "cxr_flow_recovery_seconds",
        "From the end of a first failed run to that of the next good one.",
        FLOW,
        RECOVERY,
        recovered,
    )


def step_families(tally: Tally) -> Iterator[Metric]:
    """What steps came to."""
    yield counter(
        "cxr_steps",
        "Steps of ended and running flow runs, by kind and state.",
        ("step", "state"),
        tally.steps.items(),
    )
    yield counter(
        "cxr_step_seconds",
        "Seconds that building steps took.",
        ("step",),
        (((kind,), seconds) for kind, seconds in tally.step_seconds.items()),
    )


def source_families(tally: Tally, now: datetime) -> Iterator[Metric]:
    """What each source has brought, lost, and when it was looked at."""
    known = {source for source, at in tally.checked.items() if at > now - FORGOTTEN}
    place = ("source", "step", "unit")
    yield gauge(
        "cxr_source_rows",
        "Rows of the newest artifact, kept and rejected.",
        (*place, "outcome"),
        (
            ((*key, outcome), row[outcome])
            for key, row in tally.rows.items()
            for outcome in ("kept", "rejected")
        ),
    )
    yield counter(
        "cxr_source_handled_rows", "Rows that were worked on.", place, tally.handled.items()
    )
    yield gauge(
        "cxr_source_rejected_rows",
        "Rejected rows of the newest artifact by reason.",
        ("source", "step", "reason"),
        _reasons(tally),
    )
    shares = list(tally.reject_shares())
    yield gauge(
        "cxr_source_reject_share",
        "Rejected share of the newest build.",
        ("source", "step"),
        ((key, share) for key, share, _ in shares),
    )
    yield gauge(
        "cxr_source_usual_reject_share",
        "Median of the rejected shares of up to ten builds before the newest.",
        ("source", "step"),
        ((key, usual) for key, _, usual in shares if usual is not None),
    )
    for what, text, table in (
        ("checked", "When a run last looked at the source's raw files.", tally.checked),
        ("changed", "When the source last brought something new.", tally.changed),
    ):
        found = (((name,), at.timestamp()) for name, at in table.items() if name in known)
        yield gauge(f"cxr_source_{what}_timestamp_seconds", text, ("source",), found)


def _reasons(tally: Tally) -> Iterator[tuple[Key, float]]:
    for key, (_, reasons) in tally.rejects.items():
        most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        shown: dict[str, int] = defaultdict(int, most[:MOST_REASONS])
        for _, number in most[MOST_REASONS:]:
            shown[OTHER] += number
        for reason, number in shown.items():
            yield (*key, _label(reason)), number


def _label(text: str) -> str:
    """Reasons are fixed words; what a stranger's file may have brought in is cut off."""
    return re.sub(r"[^\w.,:%<>=() /-]", "?", text)[:60]


def language_model_families(tally: Tally) -> Iterator[Metric]:
    """What was asked of language models, by source, task and model."""
    work = ("source", "task", "model")

    def sums(*names: str) -> Iterator[tuple[Key, float]]:
        for key, numbers in tally.llm.items():
            for name in names:
                yield (*key, *((name.partition("_")[0],) if len(names) > 1 else ())), numbers[name]

    ended = "Requests that ended with a valid answer (kept) or without one (failed)."
    yield counter("cxr_llm_requests", ended, (*work, "outcome"), sums("kept", "failed"))
    for name, text in (
        ("cached", "Requests answered by a stored answer."),
        ("retried", "Tries that were made again."),
        ("rate_limited", "Tries that were answered 429."),
    ):
        yield counter(f"cxr_llm_{name}", text, work, sums(name))
    tokens = sums("input_tokens", "output_tokens")
    yield counter("cxr_llm_tokens", "Tokens in and out.", (*work, "direction"), tokens)
    yield counter("cxr_llm_cost_usd", "US dollars paid.", work, sums("cost_usd"))
