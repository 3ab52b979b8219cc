"""Several judges of one set of pairs: their mean, how far they differ, and whose kin they are.

A judge that belongs to the family of the model that wrote the references tends to like its own
words, so such a judge is flagged; nothing is left out for it. Shapes: N examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.judged import JudgedCounts
from evaluation.kendall import tau_b
from evaluation.statistics import Bootstrap, Floats, Interval, interval_of, mean_of

FAMILIES: tuple[tuple[str, str], ...] = (
    ("gpt", r"gpt|davinci|(?<![a-z0-9])o[134](?![a-z0-9])"),
    ("llama", r"llama|vicuna|alpaca"),
    ("mistral", r"mistral|mixtral|ministral|magistral|codestral|pixtral"),
    ("qwen", r"qwen|qwq|qvq"),
    ("gemini", r"gemini|gemma|palm"),
    ("claude", r"claude"),
    ("deepseek", r"deepseek"),
    ("phi", r"(?<![a-z])phi(?![a-z])"),
    ("command", r"command-|(?<![a-z])aya(?![a-z])"),
    ("offline-rules", r"offline-rules"),
)
"""Family and what its models' names contain. Our list: a maker's models share data and teachers,
and a model tuned from another's weights (Vicuna, MedGemma) stays in its family."""


def families(model: str) -> frozenset[str]:
    """The families that a model's name tells of; its own name where it tells of none.

    A distilled model can belong to two: ``DeepSeek-R1-Distill-Llama-70B``.
    """
    name = model.lower()
    found = frozenset(family for family, pattern in FAMILIES if re.search(pattern, name))
    return found or frozenset({name})


@dataclass(frozen=True)
class Kinship:
    """A judge of a teacher's family; ``families`` are what both share, ``wrote`` what it wrote."""

    judge: str
    teacher: str
    wrote: str
    families: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"judge {self.judge} is of the same family ({', '.join(self.families)}) as "
            f"{self.teacher}, which wrote {self.wrote}"
        )


def kin_of_teachers(
    judges: Mapping[str, Iterable[str]], teachers: Iterable[tuple[str, str]]
) -> tuple[Kinship, ...]:
    """Every judge that shares a family with a teacher.

    Args:
        judges: by the name that was asked for, the names that the server gave itself.
        teachers: models with what they wrote, such as ``the references``.
    """
    found = []
    for judge, answered_by in sorted(judges.items()):
        own = frozenset().union(*(families(name) for name in (judge, *answered_by)))
        for teacher, wrote in sorted(set(teachers)):
            shared = own & families(teacher)
            if shared:
                found.append(Kinship(judge, teacher, wrote, tuple(sorted(shared))))
    return tuple(found)


def answering(judged: pa.Table) -> dict[str, frozenset[str]]:
    """By judge, the names that servers gave themselves (``answered_by``, where it is told)."""
    told = "answered_by" in judged.column_names
    names: dict[str, set[str]] = {}
    columns = ["judge", "answered_by"] if told else ["judge"]
    for row in judged.select(columns).group_by(columns).aggregate([]).to_pylist():
        names.setdefault(row["judge"], set()).update(filter(None, [row.get("answered_by")]))
    return {judge: frozenset(given) for judge, given in names.items()}


def mean_of_judges(judges: Sequence[JudgedCounts]) -> list[JudgedCounts]:
    """The judges' mean, by control, over the pairs that all of them judged; none for one judge."""
    found = []
    for control in dict.fromkeys(item.control for item in judges):
        own = [item for item in judges if item.control == control]
        if len(own) < 2:
            continue
        counts = np.mean([item.counts for item in own], axis=0)
        counts *= _all_judged(own)[:, None]
        versions = ", ".join(sorted({item.judge_version for item in own}))
        found.append(JudgedCounts(f"mean of {len(own)} judges", versions, control, counts))
    return found


def _all_judged(judges: Sequence[JudgedCounts]) -> NDArray[np.bool_]:
    """(N,) whether every judge judged the pair."""
    judged = np.array([item.column("judged") for item in judges])
    return np.asarray((judged > 0).all(axis=0))


@dataclass(frozen=True)
class Disagreement:
    """Two judges on the ``pairs`` that both judged.

    Args:
        mean_absolute_difference: of all errors per pair.
        significant_difference: the same of significant errors.
        free_disagreement: share of pairs that one calls free of significant errors, the other not.
        tau: Kendall's tau-b between their numbers of errors; None where a judge ties all.
    """

    one: str
    other: str
    control: str
    pairs: int
    mean_absolute_difference: Interval
    significant_difference: Interval
    free_disagreement: Interval
    tau: Interval


def disagreements(judges: Sequence[JudgedCounts], bootstrap: Bootstrap) -> list[Disagreement]:
    """Every two judges of a control, with intervals over the bootstrap's subjects."""
    return [
        _disagreement(one, other, bootstrap)
        for one, other in combinations(judges, 2)
        if one.control == other.control
    ]


def _disagreement(one: JudgedCounts, other: JudgedCounts, bootstrap: Bootstrap) -> Disagreement:
    both = _all_judged((one, other))

    def apart(column: str) -> Interval:
        values = np.abs(one.column(column) - other.column(column)) * both
        counts = np.stack([values, both.astype(np.float64)], axis=-1)
        return interval_of(mean_of(counts.sum(axis=0)), bootstrap.draws(mean_of, counts))

    return Disagreement(
        one.judge,
        other.judge,
        one.control,
        int(both.sum()),
        apart("errors"),
        apart("significant errors"),
        apart("significant-error-free"),
        _tau(one.column("errors")[both], other.column("errors")[both], bootstrap.weights[:, both]),
    )


def _tau(one: Floats, other: Floats, weights: Floats) -> Interval:
    return interval_of(tau_b(one, other)[0], tau_b(one, other, weights))
