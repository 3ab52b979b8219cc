"""A judge's counts of errors as a table: one row per judged pair, whatever became of it.

``significant`` and ``insignificant`` hold one count for each of ``CATEGORIES``; they are null where
``failure`` says why there are none (a refusal, an answer that cannot be read).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

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


@dataclass(frozen=True)
class JudgedCounts:
    """What one judge counted for one system.

    ``counts`` (N, 6): significant errors, insignificant errors, all errors, whether there is none,
    whether there is no significant one, and one where the pair was judged at all; rows of pairs
    that were not judged are zero.
    """

    judge: str
    judge_version: str
    control: str
    counts: Floats
    failures: int


def read_judged(judged: pa.Table, places: Mapping[str, int]) -> list[JudgedCounts]:
    """Counts of every judge and control; ``places`` gives each example's row among N.

    Raises:
        InputError: a column is missing, a pair is judged twice by one judge, or an example is not
            among the predictions.
    """
    missing = [name for name in JUDGED_SCHEMA.names if name not in judged.column_names]
    if missing:
        raise InputError(
            f"judged pairs without column '{missing[0]}'", ", ".join(JUDGED_SCHEMA.names), _ADVICE
        )
    found: dict[tuple[str, str, str], Floats] = {}
    failures: dict[tuple[str, str, str], int] = {}
    for row in judged.select(JUDGED_SCHEMA.names).to_pylist():
        key = (row["judge"], row["judge_version"], row["control"])
        counts = found.setdefault(key, np.zeros((len(places), 6)))
        failures.setdefault(key, 0)
        if row["example_id"] not in places:
            raise InputError(
                f"judged example '{row['example_id']}'", "an example of the predictions", _ADVICE
            )
        place = places[row["example_id"]]
        if row["failure"] is not None:
            failures[key] += 1
            continue
        if counts[place, 5]:
            raise InputError(
                f"example '{row['example_id']}' judged twice by '{key[0]}'", "once", _ADVICE
            )
        counts[place] = _pair_counts(sum(row["significant"]), sum(row["insignificant"]))
    return [JudgedCounts(*key, counts, failures[key]) for key, counts in found.items()]


_ADVICE = "judge the predictions again"


def _pair_counts(significant: int, insignificant: int) -> tuple[float, ...]:
    errors = significant + insignificant
    return (significant, insignificant, errors, float(not errors), float(not significant), 1.0)
