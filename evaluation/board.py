"""Scores and differences of systems from their counts, family by family.

Everything that is computed of counts, such as scores, slices and comparisons, is a statistic of
sums over examples: ``Board`` holds the counts, and which rows are summed is all that differs.
Shapes: N examples, K counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.controls import MODEL, Outputs
from evaluation.measures import Measure
from evaluation.signature import Signature
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    difference_interval,
    interval_of,
    ratio_interval,
)

Families = dict[str, dict[str, Floats]]
"""Counts (N, K) by control and family."""


@dataclass(frozen=True)
class Score:
    """One metric of one system (``control`` is ``none`` for the model itself)."""

    metric: str
    control: str
    interval: Interval
    higher_is_better: bool
    is_detail: bool
    signature: Signature

    def to_row(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "control": self.control,
            **asdict(self.interval),
            "higher_is_better": self.higher_is_better,
            "is_detail": self.is_detail,
            "signature": self.signature.fields(),
        }


@dataclass(frozen=True)
class Difference:
    """The model less a control, and the model over it, on the same resamples.

    ``beats`` says that the 95 % interval of the difference lies wholly on the better side of zero.
    """

    metric: str
    control: str
    difference: Interval
    ratio: Interval
    higher_is_better: bool
    examples: int

    @property
    def beats(self) -> bool:
        return self.difference.better(self.higher_is_better) is True

    def to_row(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "control": self.control,
            **asdict(self.difference),
            "ratio": asdict(self.ratio),
            "excludes_zero": self.difference.excludes(0.0),
            "beats": self.beats,
            "higher_is_better": self.higher_is_better,
            "examples": self.examples,
        }


@dataclass(frozen=True)
class Board:
    """What scoring needs at hand: the data, the resamples, the counts."""

    outputs: Outputs
    bootstrap: Bootstrap
    section: str
    families: Families
    _drawn: dict[tuple[str, str], Floats] = field(default_factory=dict, repr=False, compare=False)

    def scores(self, measures: Sequence[Measure]) -> tuple[Score, ...]:
        """Every measure of every system that has its counts."""
        systems = self.outputs.written
        return tuple(self.score(m, c) for c in systems for m in measures if self.has(m, c))

    def differences(self, measures: Sequence[Measure]) -> tuple[Difference, ...]:
        """The model less every control, for every measure that both have."""
        return tuple(
            self.difference(m, c)
            for c in self.outputs.written
            if c != MODEL
            for m in measures
            if self.has(m, c) and self.has(m, MODEL)
        )

    def has(self, measure: Measure, control: str) -> bool:
        return measure.family in self.families[control]

    def score(self, measure: Measure, control: str) -> Score:
        counts = self.families[control][measure.family]
        drawn = measure.statistic(self.sums(control, measure.family))
        interval = interval_of(measure.statistic(counts.sum(axis=0)), drawn)
        signature = self.signature(measure, self.present(measure, control))
        return Score(
            measure.name,
            control,
            interval,
            measure.higher_is_better,
            measure.is_detail,
            signature,
        )

    def sums(self, control: str, family: str) -> Floats:
        """(B, K) sums of every resample, made once for all measures of a family."""
        if (control, family) not in self._drawn:
            self._drawn[control, family] = self.bootstrap.weights @ self.families[control][family]
        return self._drawn[control, family]

    def difference(self, measure: Measure, control: str) -> Difference:
        """Paired on the examples that both systems have (and the judge judged)."""
        both = self.present(measure, MODEL) & self.present(measure, control)
        own = self.families[MODEL][measure.family] * both[:, None]
        other = self.families[control][measure.family] * both[:, None]
        return Difference(
            measure.name,
            control,
            difference_interval(self.bootstrap, measure.statistic, own, other),
            ratio_interval(self.bootstrap, measure.statistic, own, other),
            measure.higher_is_better,
            int(both.sum()),
        )

    def present(self, measure: Measure, control: str) -> NDArray[np.bool_]:
        """(N,) whether the system has the example and, for a judge's measure, was judged on it."""
        if measure.family.startswith("judge "):
            judged: NDArray[np.bool_] = self.families[control][measure.family][:, -1] > 0
            return judged
        present = np.zeros(len(self.outputs.example_ids), dtype=bool)
        present[self.outputs.written[control].rows] = True
        return present

    def signature(self, measure: Measure, present: NDArray[np.bool_]) -> Signature:
        rows = np.flatnonzero(present)
        studies, subjects = self.outputs.studies, self.outputs.subjects
        return Signature(
            metric=measure.name,
            section=self.section,
            studies=len({studies[row] for row in rows}),
            subjects=len({subjects[row] for row in rows}),
            examples=len(rows),
            interval="bootstrap percentile 95%",
            resamples=self.bootstrap.resamples,
            seed=self.bootstrap.seed,
            unit="subject",
            **measure.about,
        )
