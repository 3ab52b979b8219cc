"""One model against another: every metric in pairs, corrected for their number, and the examples
whose reading changed most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.clinical import report_f1
from evaluation.comparable import JUDGE, RULE14, common_judge
from evaluation.judged import COLUMNS
from evaluation.paired import PairedDifference, System, corrected, paired_difference
from evaluation.statistics import Floats

F1_FAMILY = f"{RULE14}-negative"
"""The family that one report's F1 is computed from; uncertain counts as negative."""


@dataclass(frozen=True)
class Change:
    """One example: its rule14 F1 and significant errors with the first model and the second.

    Errors are None where no judge judged both.
    """

    example_id: str
    study_id: str
    f1: tuple[float, float]
    errors: tuple[float, float] | None

    @property
    def gain(self) -> tuple[float, float]:
        """How much better the second is: in errors, then in F1."""
        fewer = 0.0 if self.errors is None else self.errors[0] - self.errors[1]
        return fewer, self.f1[1] - self.f1[0]


@dataclass(frozen=True)
class Comparison:
    """Differences of the second model from the first, by metric.

    Improved and worsened examples come furthest first; ``judge`` counted their errors, and None
    says that no judge judged both. ``resamples`` counts rounds of the randomisation too.
    """

    differences: tuple[PairedDifference, ...]
    improved: tuple[Change, ...]
    worsened: tuple[Change, ...]
    unchanged: int
    examples: int
    subjects: int
    resamples: int
    seed: int
    judge: str | None

    @property
    def tests(self) -> int:
        """How many p-values Holm's correction is over."""
        return sum(item.p is not None for item in self.differences)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        rows = [{**asdict(item), "better": item.better} for item in self.differences]
        return {**asdict(self), "differences": rows, "tests": self.tests}


def compare_systems(
    own: System, other: System, resamples: int, seed: int, *, shown: int
) -> Comparison:
    """Compare on the examples that both wrote, which must be the same (``why_not_paired``).

    A metric that one of them lacks, or that was counted in another way, stands there with the
    reason in place of a difference.

    Args:
        shown: how many improved and worsened examples are kept, each.
    """
    every = {**other.measures, **own.measures}
    ordered = [*own.measures, *(name for name in other.measures if name not in own.measures)]
    names = [name for name in ordered if not every[name].is_detail]
    pairs = [paired_difference(own, other, name, resamples, seed) for name in names]
    changes = example_changes(own, other)
    ranked = sorted(changes, key=lambda item: (item.gain, item.example_id), reverse=True)
    better = [item for item in ranked if item.gain > (0.0, 0.0)]
    worse = [item for item in ranked[::-1] if item.gain < (0.0, 0.0)]
    judge = common_judge(own, other)
    return Comparison(
        corrected([pair for pair in pairs if pair is not None]),
        tuple(better[:shown]),
        tuple(worse[:shown]),
        len(changes) - len(better) - len(worse),
        len(own.outputs.example_ids),
        len(set(own.outputs.subjects)),
        resamples,
        seed,
        None if judge is None else judge.removeprefix(JUDGE),
    )


def example_changes(own: System, other: System) -> list[Change]:
    """Each example's F1 and errors with both; none where the labeler is not the same for both."""
    if own.versions.get(F1_FAMILY) != other.versions.get(F1_FAMILY):
        return []
    before, after = (report_f1(side.families[F1_FAMILY]) for side in (own, other))
    judge = common_judge(own, other)
    errors = [] if judge is None else [_errors(side, judge) for side in (own, other)]
    return [
        Change(
            example_id,
            own.outputs.study_ids[row],
            (float(before[row]), float(after[row])),
            _both(errors, row),
        )
        for row, example_id in enumerate(own.outputs.example_ids)
    ]


def _errors(system: System, judge: str) -> Floats:
    """(N,) significant errors by that judge; nan where it did not judge."""
    counts = system.families[judge]
    column = counts[:, COLUMNS.index("significant errors")]
    return np.where(counts[:, -1] > 0, column, np.nan)


def _both(errors: Sequence[Floats], row: int) -> tuple[float, float] | None:
    """The errors of one example by both; None where one has none."""
    found = [float(side[row]) for side in errors]
    if len(found) < 2 or np.isnan(found).any():
        return None
    return found[0], found[1]
