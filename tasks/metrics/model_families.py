"""Families of trained stages and of registered models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client.core import Metric

from tasks.metrics.families import counter, gauge
from tasks.metrics.tally import Key, Moved, Row, Tally

STAGE: Final = ("recipe", "scale", "stage")
_GIB = 2**30
_FIGURES: Final = {
    "useful_tokens_per_second": ("useful_tokens_per_second", "Tokens a second, no padding."),
    "mfu": ("mfu", "Share of the device's peak."),
    "data_wait_share": ("data_wait_share", "Share of the time spent waiting for data."),
    "seconds": ("seconds", "What training took."),
}
HEADLINE: Final = re.compile(
    r"BLEU-[14]\[.*|ROUGE-L\[.*|rule14-micro-F1(-5)?|chexprompt\[.*\]-(significant-)?errors"
    r"|RadGraph-F1.*|CheXbert-micro-F1.*|accuracy.*|exact.*|Fr[eé]chet.*|films-judged-alike.*"
)
"""Metrics that dashboards show; facts hold all."""
SCORE: Final = ("model", "alias", "ability", "metric", "part", "better")
PREVIOUS: Final = "previous"
"""The alias under which what ``champion`` pointed at before is shown beside it."""
CHAMPION: Final = "champion"


def stage_families(tally: Tally) -> Iterator[Metric]:
    """The newest training of each stage."""
    stages = tally.stages
    for column, (name, text) in _FIGURES.items():
        found = ((key, row[column]) for key, row in stages.items() if row[column] is not None)
        yield gauge(f"cxr_stage_{name}", text, STAGE, found)
    yield gauge(
        "cxr_stage_peak_memory_bytes",
        "Most memory that was used.",
        STAGE,
        (
            (key, row["peak_memory_gib"] * _GIB)
            for key, row in stages.items()
            if row["peak_memory_gib"] is not None
        ),
    )
    yield gauge(
        "cxr_stage_loss",
        "Loss at the first and the last step, and of the kept weights on validate.",
        (*STAGE, "of"),
        (
            ((*key, of), row[f"{of}_loss"])
            for key, row in stages.items()
            for of in ("first", "last", "validate")
            if row[f"{of}_loss"] is not None
        ),
    )
    yield gauge(
        "cxr_stage_bar_missed",
        "1 where a figure missed its bar; absent where no bar is known for the device.",
        STAGE,
        (
            (key, float(row["bar"] == "missed"))
            for key, row in stages.items()
            if row["bar"] in ("met", "missed")
        ),
    )
    trained = ((key, row["recorded_at"].timestamp()) for key, row in stages.items())
    yield gauge("cxr_stage_trained_timestamp_seconds", "When it was trained.", STAGE, trained)


def model_families(tally: Tally) -> Iterator[Metric]:
    """Aliases and the scores behind them."""
    aliases = {key: sorted(found, key=lambda each: each.at) for key, found in tally.aliases.items()}
    held = {key: found[-1] for key, found in aliases.items() if found[-1].version is not None}
    named = ("model", "alias")
    yield gauge(
        "cxr_model_alias_version",
        "The version that an alias points at.",
        named,
        ((key, float(moved.version or 0)) for key, moved in held.items()),
    )
    moved_at = ((key, moved.at.timestamp()) for key, moved in held.items())
    yield gauge("cxr_model_alias_moved_timestamp_seconds", "When it was set.", named, moved_at)
    yield counter(
        "cxr_model_alias_moves",
        "How often it was set, moved or removed.",
        named,
        ((key, len(found)) for key, found in aliases.items()),
    )
    shown = [(key, row) for key, moved in held.items() for row in _scores(tally, moved)]
    shown += [((model, PREVIOUS), row) for model, row in _before_champion(tally, aliases)]
    for name, text, column in (
        ("cxr_model_score", "Scores of the version that an alias points at.", "value"),
        ("cxr_model_score_low", "Lower ends of their 95 % intervals.", "low"),
        ("cxr_model_score_high", "Upper ends of their 95 % intervals.", "high"),
    ):
        found = ((_score_key(key, row), row[column]) for key, row in shown)
        yield gauge(name, text, SCORE, (item for item in found if item[1] is not None))


def drift_families(tally: Tally) -> Iterator[Metric]:
    """The newest look at each champion (docs/drift.md)."""
    drifted: Counter[Key] = Counter()
    tested: Counter[Key] = Counter()
    for model, tests in tally.looks.items():
        for test in tests:
            drifted[model, test["source"]] += bool(test["drifted"])
            tested[model, test["source"]] += test["p_holm"] is not None
    named, newest = ("model", "source"), tally.looks.items()
    yield gauge(
        "cxr_model_drift_quantities",
        "Quantities that have drifted, by the champion's newest look.",
        named,
        ((key, float(count)) for key, count in drifted.items()),
    )
    yield gauge(
        "cxr_model_drift_tested",
        "Quantities that its newest look has tested.",
        named,
        ((key, float(count)) for key, count in tested.items()),
    )
    yield gauge(
        "cxr_model_look_timestamp_seconds",
        "When its newest look was taken.",
        ("model",),
        (((model,), tests[0]["recorded_at"].timestamp()) for model, tests in newest),
    )
    yield gauge(
        "cxr_model_look_level",
        "The newest look's share of a year's false alarms; 0 once they are used up.",
        ("model",),
        (((model,), tests[0]["level"]) for model, tests in newest),
    )


def _score_key(named: Key, row: Row) -> Key:
    better = "higher" if row["higher_is_better"] else "lower"
    return (*named, row["ability"], row["metric"], row["part"], better)


def _scores(tally: Tally, moved: Moved) -> Iterator[Row]:
    """Headline scores behind a version, each once: the newest time that they were made."""
    for scores in moved.scores:
        newest: dict[tuple[Any, ...], Row] = {}
        for row in sorted(tally.scores.get(scores, ()), key=lambda row: row["recorded_at"]):
            if HEADLINE.fullmatch(row["metric"]):
                newest[row["ability"], row["metric"], row["part"]] = row
        yield from newest.values()


def _before_champion(tally: Tally, aliases: dict[Key, list[Moved]]) -> Iterator[tuple[str, Row]]:
    """Scores of the last other version that was champion, where they were made alike."""
    for (model, alias), found in aliases.items():
        now = found[-1]
        others = [each for each in found if each.version not in (None, now.version)]
        if alias != CHAMPION or not others:
            continue
        made = {(row["ability"], row["metric"], row["signature"]) for row in _scores(tally, now)}
        for row in _scores(tally, others[-1]):
            if (row["ability"], row["metric"], row["signature"]) in made:
                yield model, row
