"""All scores of one model's predictions, each with interval and signature, beside its controls.

    scores = score_predictions(predictions, judged, settings)
    scores.to_dict()                      what ``cxr evaluate --json`` prints
    scores.examples                       one row per example and control, for Parquet

Metrics whose weights are absent are listed as unavailable with the reason; no number is invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation.clinical import LabelScore, label_scores
from evaluation.controls import MODEL, Outputs, read_outputs
from evaluation.example_scores import EXAMPLE_SCORES_SCHEMA, example_rows
from evaluation.judged import JudgedCounts, read_judged
from evaluation.judges import (
    Disagreement,
    Kinship,
    answering,
    disagreements,
    kin_of_teachers,
    mean_of_judges,
)
from evaluation.measures import (
    UNAVAILABLE,
    Measure,
    clinical_measures,
    judge_family,
    judge_measures,
    lexical_measures,
    translation_measures,
)
from evaluation.signature import Signature
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    difference_interval,
    make_bootstrap,
    ratio_interval,
    score_interval,
)
from evaluation.texts import TextCounts, count_texts
from infra.settings.sections import ScoreSettings

FORMAT = 1
"""Raise when a reader of ``to_dict`` must change."""

NO_JUDGE = "no judge was asked"


@dataclass(frozen=True)
class Score:
    """One metric of one system (``control`` is ``none`` for the model itself)."""

    metric: str
    control: str
    interval: Interval
    higher_is_better: bool
    is_detail: bool
    signature: Signature


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
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return False
        return low > 0 if self.higher_is_better else high < 0


@dataclass(frozen=True)
class SystemCounts:
    """How much a system wrote: empty texts, texts cut at the token limit, and by judge the pairs
    that were judged and, by reason, those that were not."""

    examples: int
    empty: int
    cut_short: int
    judged: dict[str, int]
    judge_failures: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Scores:
    """Everything measured on one set of predictions; ``labels`` are by control.

    ``kin`` are the judges that share a family with a model behind the texts.
    """

    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    labels: dict[str, list[LabelScore]]
    systems: dict[str, SystemCounts]
    unavailable: dict[str, str]
    studies: int
    subjects: int
    examples: pa.Table
    disagreements: tuple[Disagreement, ...] = ()
    kin: tuple[Kinship, ...] = ()

    def score(self, metric: str, control: str = MODEL) -> Score:
        """The score of that name; KeyError where there is none."""
        for score in self.scores:
            if (score.metric, score.control) == (metric, control):
                return score
        raise KeyError(f"{metric} of {control}")

    def difference(self, metric: str, control: str) -> Difference:
        """The difference of that name; KeyError where there is none."""
        for difference in self.differences:
            if (difference.metric, difference.control) == (metric, control):
                return difference
        raise KeyError(f"{metric} against {control}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the examples; unknown numbers are None."""
        return {
            "format": FORMAT,
            "studies": self.studies,
            "subjects": self.subjects,
            "systems": {name: asdict(counts) for name, counts in self.systems.items()},
            "scores": [_score_row(score) for score in self.scores],
            "differences": [_difference_row(item) for item in self.differences],
            "labels": {name: [asdict(r) for r in rows] for name, rows in self.labels.items()},
            "disagreements": [asdict(item) for item in self.disagreements],
            "kin": [{**asdict(item), "warning": str(item)} for item in self.kin],
            "unavailable": self.unavailable,
        }

    def tracked(self) -> dict[str, float]:
        """``control/metric`` → value, in names that MLflow accepts (no brackets)."""
        names = str.maketrans({"[": ".", "]": None, "=": "-"})
        return {
            f"{score.control}/{score.metric.translate(names)}": score.interval.value
            for score in self.scores
            if score.interval.value is not None
        }


def score_predictions(
    predictions: pa.Table,
    judged: pa.Table | None,
    settings: ScoreSettings,
    section: str = "findings",
    teachers: Iterable[tuple[str, str]] = (),
    *,
    translated: bool = False,
) -> Scores:
    """Score the model and its image-blind controls.

    Args:
        predictions: rows of the model (control ``none``) and of any control.
        judged: rows of ``judged.JUDGED_SCHEMA`` about ``judged.choose_judged``'s pairs, or None
            where no judge was asked.
        section: which section was generated; part of every signature.
        teachers: models behind the texts, each with what it wrote; judges of their families are
            flagged.
        translated: the texts are translations, for which chrF is measured too.

    Raises:
        InputError: a table does not fit (see ``controls`` and ``judged``).
    """
    outputs = read_outputs(predictions)
    places = {example_id: place for place, example_id in enumerate(outputs.example_ids)}
    texts = {
        name: count_texts(outputs, written, translated=translated)
        for name, written in outputs.written.items()
    }
    judges = read_judged(judged, places) if judged is not None else []
    bootstrap = make_bootstrap(outputs.subjects, settings.bootstrap_resamples, settings.seed)
    means = mean_of_judges(judges)
    board = _Board(outputs, bootstrap, section, _families(outputs, texts, [*judges, *means]))
    measures = _measures(settings, (judges, means), translated)
    return Scores(
        scores=board.scores(measures),
        differences=board.differences(measures),
        labels={
            control: label_scores(board.families[control][f"rule14-{settings.uncertain_as}"])
            for control in outputs.written
        },
        systems={name: _system_counts(outputs, name, judges) for name in outputs.written},
        unavailable=UNAVAILABLE | ({} if judges else {"chexprompt": NO_JUDGE}),
        studies=len(set(outputs.studies)),
        subjects=bootstrap.subjects,
        examples=example_rows(outputs, texts, judges),
        disagreements=tuple(disagreements(judges, bootstrap)),
        kin=kin_of_teachers(answering(judged), teachers) if judged is not None else (),
    )


def _measures(
    settings: ScoreSettings, judges: Iterable[Iterable[JudgedCounts]], translated: bool
) -> list[Measure]:
    """Every measure in the order of the tables; each group of judges by name."""
    measures = translation_measures() if translated else []
    measures += [*lexical_measures(), *clinical_measures(settings.uncertain_as)]
    for group in judges:
        for name, judge_version in sorted({(one.judge, one.judge_version) for one in group}):
            measures += judge_measures(name, judge_version)
    return measures


def nothing_scored(reason: str) -> Scores:
    """Scores of no predictions: every metric is unavailable, and why."""
    metrics = (*lexical_measures(), *clinical_measures("negative"))
    return Scores(
        scores=(),
        differences=(),
        labels={},
        systems={},
        unavailable={**{item.name: reason for item in metrics}, **UNAVAILABLE},
        studies=0,
        subjects=0,
        examples=EXAMPLE_SCORES_SCHEMA.empty_table(),
    )


Families = dict[str, dict[str, Floats]]
"""Counts (N, K) by control and family."""


def _families(
    outputs: Outputs, texts: Mapping[str, TextCounts], judges: list[JudgedCounts]
) -> Families:
    families = {control: dict(texts[control].families) for control in outputs.written}
    for item in judges:
        if item.control in families:
            families[item.control][judge_family(item.judge)] = item.counts
    return families


@dataclass(frozen=True)
class _Board:
    """What scoring needs at hand: the data, the resamples, the counts."""

    outputs: Outputs
    bootstrap: Bootstrap
    section: str
    families: Families

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
        interval = score_interval(self.bootstrap, measure.statistic, counts)
        signature = self._signature(measure, self._present(measure, control))
        return Score(
            measure.name,
            control,
            interval,
            measure.higher_is_better,
            measure.is_detail,
            signature,
        )

    def difference(self, measure: Measure, control: str) -> Difference:
        """Paired on the examples that both systems have (and the judge judged)."""
        both = self._present(measure, MODEL) & self._present(measure, control)
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

    def _present(self, measure: Measure, control: str) -> Any:
        """(N,) whether the system has the example and, for a judge's measure, was judged on it."""
        if measure.family.startswith("judge "):
            return self.families[control][measure.family][:, -1] > 0
        present = np.zeros(len(self.outputs.example_ids), dtype=bool)
        present[self.outputs.written[control].rows] = True
        return present

    def _signature(self, measure: Measure, present: Any) -> Signature:
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


def _system_counts(outputs: Outputs, control: str, judges: list[JudgedCounts]) -> SystemCounts:
    written = outputs.written[control]
    own = [item for item in judges if item.control == control]
    return SystemCounts(
        examples=len(written.predictions),
        empty=written.empty,
        cut_short=written.cut_short,
        judged={item.judge: int(item.column("judged").sum()) for item in own},
        judge_failures={item.judge: dict(item.failures) for item in own},
    )


def _score_row(score: Score) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "control": score.control,
        **asdict(score.interval),
        "higher_is_better": score.higher_is_better,
        "is_detail": score.is_detail,
        "signature": score.signature.fields(),
    }


def _difference_row(item: Difference) -> dict[str, Any]:
    return {
        "metric": item.metric,
        "control": item.control,
        **asdict(item.difference),
        "ratio": asdict(item.ratio),
        "excludes_zero": item.difference.excludes(0.0),
        "beats": item.beats,
        "higher_is_better": item.higher_is_better,
        "examples": item.examples,
    }
