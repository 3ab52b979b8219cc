"""A judge's counts of errors as a table, and which predictions a judge is asked about.

The same examples are judged for the model and for every control, so that differences are paired.
Shapes: N examples, C = 6 categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.statistics import Floats
from infra.errors import InputError

CATEGORIES: tuple[str, ...] = (
    "false finding",
    "missing finding",
    "wrong location",
    "wrong severity",
    "false comparison",
    "missing comparison",
)
"""CheXprompt's six kinds of error, in its order (evaluation_metrics 1.10 and 1.11)."""

TIERS: tuple[str, ...] = ("significant", "insignificant")

JUDGED_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        pa.field("judge_version", pa.string(), nullable=False),
        pa.field("significant", pa.list_(pa.int32())),
        pa.field("insignificant", pa.list_(pa.int32())),
        pa.field("failure", pa.string()),
    ]
)
"""One row per judged pair, whatever became of it. ``significant`` and ``insignificant`` hold one
count for each of CATEGORIES; they are null where ``failure`` says why there are none (a refusal, an
answer that cannot be read). More columns may follow."""

DETAILS: tuple[str, ...] = tuple(f"{tier} {name}" for tier in TIERS for name in CATEGORIES)
SUMMARY = ("significant errors", "insignificant errors", "errors")
FREE = ("error-free", "significant-error-free")
COLUMNS: tuple[str, ...] = (*DETAILS, *SUMMARY, *FREE, "judged")
"""What ``JudgedCounts.counts`` holds, in order."""

_ADVICE = "judge the predictions again"


def choose_judged(predictions: pa.Table, judged_studies: int | None, seed: int) -> pa.Table:
    """The rows of ``judged_studies`` studies drawn at random, all of their controls; None: all."""
    keys = pc.binary_join_element_wise(
        predictions["source"], predictions["study_id"], "\t"
    ).to_pylist()
    names = sorted(set(keys))
    if judged_studies is None or judged_studies >= len(names):
        return predictions
    drawn = np.random.default_rng(seed).choice(len(names), judged_studies, replace=False)
    chosen = {names[place] for place in drawn}
    return predictions.filter(pa.array([key in chosen for key in keys]))


@dataclass(frozen=True)
class JudgedCounts:
    """What one judge counted for one system.

    ``counts`` (N, len(COLUMNS)): rows of pairs without counts are zero, also in ``judged``.
    ``failures`` holds the pairs without counts by reason.
    """

    judge: str
    judge_version: str
    control: str
    counts: Floats
    failures: Counter[str] = field(default_factory=Counter)

    def column(self, name: str) -> Floats:
        """(N,) one of COLUMNS."""
        return self.counts[:, COLUMNS.index(name)]


def read_judged(judged: pa.Table, places: Mapping[str, int]) -> list[JudgedCounts]:
    """Counts by judge and control; ``places`` gives each example's row among N.

    Raises:
        InputError: a column is missing, a pair is judged twice by one judge, a row has neither
            six counts per tier nor a failure, its example is not among the predictions, or a
            judge has two versions.
    """
    found: dict[tuple[str, str, str], JudgedCounts] = {}
    seen: set[tuple[str, str, str]] = set()
    versions: dict[str, str] = {}
    for row in _rows(judged):
        judge, control, example_id = row["judge"], row["control"], row["example_id"]
        if example_id not in places:
            raise InputError(
                f"judged example '{example_id}'", "an example of the predictions", _ADVICE
            )
        if (judge, control, example_id) in seen:
            raise InputError(f"example '{example_id}' judged twice by '{judge}'", "once", _ADVICE)
        seen.add((judge, control, example_id))
        if versions.setdefault(judge, row["judge_version"]) != row["judge_version"]:
            both = f"{versions[judge]} and {row['judge_version']}"
            raise InputError(f"versions {both} of judge '{judge}'", "one version", _ADVICE)
        key = (judge, row["judge_version"], control)
        if key not in found:
            found[key] = JudgedCounts(*key, np.zeros((len(places), len(COLUMNS))))
        if row["failure"] is None:
            found[key].counts[places[example_id]] = _pair_counts(row)
        else:
            found[key].failures[row["failure"]] += 1
    return list(found.values())


def _rows(judged: pa.Table) -> Iterator[dict[str, Any]]:
    missing = [name for name in JUDGED_SCHEMA.names if name not in judged.column_names]
    if missing:
        raise InputError(
            f"judged pairs without column '{missing[0]}'", ", ".join(JUDGED_SCHEMA.names), _ADVICE
        )
    yield from judged.select(JUDGED_SCHEMA.names).to_pylist()


def _pair_counts(row: Mapping[str, Any]) -> list[float]:
    tiers = [row[tier] or [] for tier in TIERS]
    if any(len(counts) != len(CATEGORIES) for counts in tiers):
        raise InputError(
            f"{len(tiers[0])} and {len(tiers[1])} counts for example '{row['example_id']}'",
            f"{len(CATEGORIES)} significant and {len(CATEGORIES)} insignificant ones",
            _ADVICE,
        )
    significant, insignificant = (sum(counts) for counts in tiers)
    errors = significant + insignificant
    return [
        *tiers[0],
        *tiers[1],
        significant,
        insignificant,
        errors,
        not errors,
        not significant,
        1,
    ]
