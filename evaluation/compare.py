"""One model against another: every metric in pairs, corrected for their number, and the examples
whose reading changed most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.clinical import report_f1
from evaluation.judged import COLUMNS
from evaluation.paired import PairedDifference, System, holm, paired_difference
from evaluation.statistics import Floats

RULE14 = "rule14-negative"
"""The family that one report's F1 is computed from; uncertain counts as negative."""


@dataclass(frozen=True)
class Change:
    """One example: its rule14 F1 and significant errors with the first model and the second.

    Errors are None where no judge judged both.
    """

    example_id: str
    study_id: str
    f1: tuple[float, float]
    errors: tuple[int, int] | None

    @property
    def gain(self) -> tuple[float, float]:
        """How much better the second is: in errors, then in F1."""
        fewer = 0 if self.errors is None else self.errors[0] - self.errors[1]
        return float(fewer), self.f1[1] - self.f1[0]


@dataclass(frozen=True)
class Comparison:
    """Differences of the second model from the first, by metric.

    ``p_holm`` follows ``differences``; improved and worsened examples come furthest first.
    """

    differences: tuple[PairedDifference, ...]
    p_holm: tuple[float, ...]
    improved: tuple[Change, ...]
    worsened: tuple[Change, ...]
    unchanged: int
    examples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        rows = [
            {**asdict(item), "better": item.better, "p_holm": p}
            for item, p in zip(self.differences, self.p_holm, strict=True)
        ]
        return {**asdict(self), "differences": rows}


def compare_systems(
    own: System, other: System, resamples: int, seed: int, *, shown: int
) -> Comparison:
    """Compare on the examples that both wrote, which must be the same (``why_not_paired``).

    Args:
        shown: how many improved and worsened examples are kept, each.
    """
    measures = [item for item in own.measures.values() if not item.is_detail]
    pairs = [paired_difference(own, other, item.name, resamples, seed) for item in measures]
    found = [pair for pair in pairs if pair is not None]
    changes = example_changes(own, other)
    ranked = sorted(changes, key=lambda item: (item.gain, item.example_id), reverse=True)
    better = [item for item in ranked if item.gain > (0.0, 0.0)]
    worse = [item for item in ranked[::-1] if item.gain < (0.0, 0.0)]
    return Comparison(
        tuple(found),
        tuple(holm([pair.p for pair in found])),
        tuple(better[:shown]),
        tuple(worse[:shown]),
        len(changes) - len(better) - len(worse),
        len(changes),
    )


def example_changes(own: System, other: System) -> list[Change]:
    """Each example's F1 and errors with both."""
    before, after = (report_f1(side.families[RULE14]) for side in (own, other))
    errors = [_errors(own), _errors(other)]
    return [
        Change(
            example_id,
            own.outputs.study_ids[row],
            (float(before[row]), float(after[row])),
            _both(errors, row),
        )
        for row, example_id in enumerate(own.outputs.example_ids)
    ]


def _errors(system: System) -> Floats | None:
    """(N,) significant errors by the first judge by name; nan where it did not judge."""
    judges = sorted(name for name in system.families if name.startswith("judge "))
    if not judges:
        return None
    counts = system.families[judges[0]]
    column = counts[:, COLUMNS.index("significant errors")]
    return np.where(counts[:, -1] > 0, column, np.nan)


def _both(errors: Sequence[Floats | None], row: int) -> tuple[int, int] | None:
    before, after = errors
    if before is None or after is None or np.isnan(before[row]) or np.isnan(after[row]):
        return None
    return int(before[row]), int(after[row])
