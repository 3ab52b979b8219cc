"""Two models on the same examples: differences with intervals, chances, and their correction.

A difference's interval comes from a bootstrap over subjects, its p-value from approximate
randomisation: if the models were alike, each subject's outputs could as well be exchanged
(evaluation_metrics 3.2). Shapes: N examples, S subjects, B rounds, K counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.comparable import JUDGE, family_versions, why_not_comparable
from evaluation.controls import MODEL, Outputs, read_outputs
from evaluation.counts_table import KEYS, read_counts
from evaluation.lateral import FAMILY_OF, film_measures
from evaluation.measures import (
    Measure,
    block_measures,
    clinical_measures,
    judge_measures,
    lexical_measures,
)
from evaluation.measures_neural import slots
from evaluation.statistics import (
    Floats,
    Interval,
    Statistic,
    difference_interval,
    make_bootstrap,
    require_room,
)
from infra.errors import InputError
from infra.settings.sections import ScoreSettings

LEVEL = 0.05
"""A difference is told from chance where its corrected p is below; the usual level."""


@dataclass(frozen=True)
class System:
    """What one model wrote, as counts (N, K) by family, and the measures that read them;
    ``versions`` tells by family what made its counts.

    ``films`` names each example's film where intervals draw films with all their questions; empty
    where they draw subjects with all their studies. ``of_some`` names families whose last column
    says which examples count, beside those of judges and of answers.
    """

    outputs: Outputs
    families: Mapping[str, Floats]
    measures: Mapping[str, Measure]
    versions: Mapping[str, str] = field(default_factory=dict)
    films: tuple[str, ...] = ()
    of_some: frozenset[str] = frozenset()

    @property
    def units(self) -> list[str]:
        """(N,) by example the name of what is drawn and exchanged as one: its film or subject."""
        return list(self.films) or self.outputs.subjects

    def present(self, measure: Measure) -> Floats:
        """(N,) one where the example counts for the measure: a judge may not have judged all, and
        a measure of answers may be of closed questions alone."""
        counts = self.families[measure.family]
        known = measure.family in self.of_some
        if known or measure.family.startswith(JUDGE) or self.films:
            return np.asarray(counts[:, -1] > 0, dtype=np.float64)
        return np.ones(len(counts))


def read_system(
    predictions: pa.Table, counts: pa.Table, judged: pa.Table | None, settings: ScoreSettings
) -> System:
    """The model's own part (no control's) of a scoring: its outputs and all of its counts.

    Args:
        predictions: the rows that were scored.
        counts: ``counts_table`` of the scoring.
        judged: its judgements, which name the judges.

    Raises:
        InputError: a table does not fit (see ``controls``, ``judged`` and ``counts_table``).
    """
    outputs = read_outputs(predictions.filter(pc.equal(predictions["control"], MODEL)))
    own = counts.filter(pc.equal(counts["control"], MODEL))
    if tuple(own["example_id"].to_pylist()) != outputs.example_ids:
        raise InputError("counts of other examples", "those of the predictions", "score them again")
    names = [name for name in own.column_names if name not in KEYS and not own[name].null_count]
    families = read_counts(counts, MODEL, names)
    judged_by = (judge_measures(*judge) for judge in _judges(judged))
    every = [*text_measures(settings), *(measure for each in judged_by for measure in each)]
    measures = [measure for measure in every if measure.family in families]
    versions = family_versions(counts, measures)
    return System(outputs, families, {measure.name: measure for measure in measures}, versions)


def text_measures(settings: ScoreSettings) -> list[Measure]:
    """Every measure that a scoring may hold but the judges'."""
    return [
        *lexical_measures(),
        *clinical_measures(settings.uncertain_as),
        *block_measures(),
        *(slot.measure for slot in slots()),
        *(measure for kind in FAMILY_OF for measure in film_measures(kind)),
    ]


def known_metrics(settings: ScoreSettings) -> list[str]:
    """Names of all metrics that a scoring by these settings may hold."""
    judged = [each for judge in settings.judges for each in judge_measures(judge, "")]
    return list(dict.fromkeys(each.name for each in (*text_measures(settings), *judged)))


def _judges(judged: pa.Table | None) -> list[tuple[str, str]]:
    """Name and version of every judge that a table names."""
    if judged is None:
        return []
    named = judged.select(["judge", "judge_version"]).to_pylist()
    return sorted({(row["judge"], row["judge_version"]) for row in named})


@dataclass(frozen=True)
class PairedDifference:
    """One measure of a model and of another on the same examples; ``difference`` is other less own.

    ``subjects`` counts what was drawn: subjects, or films of questions.

    ``p`` is two-sided, and None where ``reason`` says why there is nothing to test. ``p_holm`` is
    the same corrected over all that was tested beside it (``corrected``).
    """

    metric: str
    own: float | None
    other: float | None
    difference: Interval
    p: float | None
    higher_is_better: bool
    examples: int
    subjects: int
    reason: str | None = None
    p_holm: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval, uncorrected, lies on one side of zero."""
        return self.difference.excludes(0.0)

    @property
    def better(self) -> bool | None:
        """Whether the other model is the better one; None where chance may explain the difference:
        the corrected p must be below LEVEL and the interval on one side of zero."""
        told = self.p_holm is not None and self.p_holm < LEVEL
        return self.difference.better(self.higher_is_better) if told else None


def why_not_paired(own: System, other: System) -> str | None:
    """Why the two cannot be compared example by example; None if they can."""
    mine = dict(zip(own.outputs.example_ids, own.outputs.references, strict=True))
    theirs = dict(zip(other.outputs.example_ids, other.outputs.references, strict=True))
    if mine.keys() != theirs.keys():
        shared = len(mine.keys() & theirs.keys())
        return f"other test examples: {shared} of {len(mine)} and {len(theirs)} are shared"
    changed = sum(mine[name] != theirs[name] for name in mine)
    return f"other references for {changed} of {len(mine)} examples" if changed else None


def paired_difference(
    own: System, other: System, metric: str, resamples: int, seed: int
) -> PairedDifference | None:
    """The difference of one metric; None where neither has such a measure.

    Where the two cannot be compared in it, the difference has no value and says why.

    Args:
        resamples: bootstrap resamples of the interval and rounds of the randomisation alike.
    """
    measure = own.measures.get(metric) or other.measures.get(metric)
    if measure is None:
        return None
    reason = why_not_comparable(own, other, metric)
    if reason is not None:
        return _not_compared(own, other, measure, reason)
    both = (own.present(measure) * other.present(measure))[:, None]
    mine, theirs = (side.families[measure.family] * both for side in (own, other))
    subjects = own.units
    bootstrap = make_bootstrap(subjects, resamples, seed)
    used = np.flatnonzero(both[:, 0])
    difference = difference_interval(bootstrap, measure.statistic, theirs, mine)
    if not len(used):
        reason = "no example has data of both"
    elif difference.value is None:
        reason = "its value is not a number on these examples"
    p = randomisation_p(measure.statistic, mine, theirs, subjects, resamples, seed)
    return PairedDifference(
        metric,
        _finite(measure.statistic(mine.sum(axis=0))),
        _finite(measure.statistic(theirs.sum(axis=0))),
        difference,
        p if reason is None else None,
        measure.higher_is_better,
        len(used),
        len({subjects[int(row)] for row in used}),
        reason,
    )


def _not_compared(own: System, other: System, measure: Measure, reason: str) -> PairedDifference:
    """Each side's own value over all of its examples, and no difference."""
    mine, theirs = (_value(system, measure.name) for system in (own, other))
    nothing = Interval(None, None, None)
    better = measure.higher_is_better
    return PairedDifference(measure.name, mine, theirs, nothing, None, better, 0, 0, reason)


def _value(system: System, metric: str) -> float | None:
    measure = system.measures.get(metric)
    if measure is None:
        return None
    return _finite(measure.statistic(system.families[measure.family].sum(axis=0)))


def _finite(value: Floats) -> float | None:
    return float(value) if np.isfinite(value) else None


def randomisation_p(
    statistic: Statistic,
    counts: Floats,
    others: Floats,
    subjects: Sequence[str],
    rounds: int,
    seed: int,
) -> float | None:
    """Two-sided p-value of approximate randomisation, ``(c + 1) / (rounds + 1)``; None where the
    observed difference is no number.

    In each round every subject's counts (N, K) change sides or not, all of its examples together;
    c counts rounds whose difference is at least the observed one, or is no number: what is not
    known must not make a difference look certain. The added ones keep p above zero.

    Raises:
        InputError: so many rounds do not fit the memory that is free.
    """
    names, of_example = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    require_room(rounds, len(names), len(of_example))
    random = np.random.default_rng([seed, 1])  # other draws than the bootstrap's
    moved = random.integers(0, 2, (rounds, len(names))).astype(np.float64)[:, of_example]
    gap = others - counts
    shift = moved @ gap
    one = statistic(counts.sum(axis=0) + shift)
    two = statistic(others.sum(axis=0) - shift)
    observed = abs(statistic(others.sum(axis=0)) - statistic(counts.sum(axis=0)))
    if not np.isfinite(observed):
        return None
    with np.errstate(invalid="ignore"):
        as_far = ~(np.abs(two - one) < observed - 1e-12)
    return float((as_far.sum() + 1) / (rounds + 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: the chance of any false alarm among all stays below each
    value's level (S. Holm, 1979). What has no p was not tested and stays without one."""
    tested = [(p, place) for place, p in enumerate(p_values) if p is not None]
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(sorted(tested)):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = largest
    return corrected


def corrected(pairs: Sequence[PairedDifference]) -> tuple[PairedDifference, ...]:
    """The same with Holm's correction over all of them."""
    values = holm([pair.p for pair in pairs])
    return tuple(replace(pair, p_holm=p) for pair, p in zip(pairs, values, strict=True))


def rounds_needed(tests: int) -> int:
    """The fewest rounds after which the smallest possible p, ``1 / (rounds + 1)``, times
    ``tests`` lies below LEVEL: with fewer, Holm's correction can tell nothing."""
    return math.ceil(tests / LEVEL)
