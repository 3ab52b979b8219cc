"""Do the findings and the impression of one study tell the same? By rule14, of both texts.

A study counts where both sections are there. The references' own agreement is the ceiling: a
radiologist's impression leaves out what does not matter, and a writer of both is no worse for that.
Shapes: N studies, L = 13 observations (No Finding apart), K counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation import labeler_rules
from evaluation.clinical import LabelMatrix, UncertainAs
from evaluation.controls import MODEL, Outputs, read_outputs
from evaluation.labeler import label_reports
from evaluation.statistics import (
    Floats,
    Interval,
    Statistic,
    difference_interval,
    make_bootstrap,
    score_interval,
)
from sources.record import OBSERVATIONS, LabelValue

REFERENCE = "reference"
"""The radiologist's two sections."""
_NAMED = [place for place, name in enumerate(OBSERVATIONS) if name != "No Finding"]
_SICK = [place for place in _NAMED if OBSERVATIONS[place] != "Support Devices"]
_NORMAL = OBSERVATIONS.index("No Finding")
_NEGATIVE = LabelMatrix.of([{OBSERVATIONS[0]: LabelValue.NEGATIVE}]).codes[0, 0]

METRICS = ("agreement", "contradictions", "contradicted")
"""F1 of one section's positive observations against the other's, pooled over studies; observations
that one section asserts and the other denies, per study; share of studies with such a one."""


@dataclass(frozen=True)
class Sections:
    """Both sections of N studies, as one system wrote them."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """N studies that both sections are scored on, with what each system wrote."""

    studies: tuple[str, ...]
    subjects: tuple[str, ...]
    systems: dict[str, Sections]


def join_sections(findings: pa.Table, impression: pa.Table) -> Joined:
    """Studies with one example of each section, in order, by system.

    Args:
        findings, impression: PREDICTION_SCHEMA rows of the two abilities.

    Raises:
        InputError: a table does not fit (see ``controls``).
    """
    both = read_outputs(findings), read_outputs(impression)
    places = [{name: row for row, name in enumerate(each.studies)} for each in both]
    shared = sorted(places[0].keys() & places[1].keys())
    rows = [[of[name] for name in shared] for of in places]
    systems = {REFERENCE: Sections(*(_references(o, r) for o, r in zip(both, rows, strict=True)))}
    for control in both[0].written.keys() & both[1].written.keys():
        texts = (_written(o, control, r) for o, r in zip(both, rows, strict=True))
        systems[control] = Sections(*texts)
    subjects = tuple(both[0].subjects[row] for row in rows[0])
    return Joined(tuple(shared), subjects, systems)


def _references(outputs: Outputs, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(outputs.references[row] for row in rows)


def _written(outputs: Outputs, control: str, rows: Sequence[int]) -> tuple[str, ...]:
    """A study that the system wrote nothing for has no text."""
    own = outputs.written[control]
    texts = dict(zip(own.rows.tolist(), own.predictions, strict=True))
    return tuple(texts.get(row, "") for row in rows)


def section_counts(sections: Sections, uncertain_as: UncertainAs) -> Floats:
    """(N, 6): observations asserted by both, by the findings alone, by the impression alone;
    contradictions; one where there are any; one.

    A contradiction is an observation that one section asserts and the other denies, or a section
    without findings beside one that asserts a disease.
    """
    one, other = (
        LabelMatrix.of(label_reports(list(texts)))
        for texts in (sections.findings, sections.impression)
    )
    asserted, also = one.positive(uncertain_as), other.positive(uncertain_as)
    against = asserted[:, _NAMED] & (other.codes[:, _NAMED] == _NEGATIVE)
    against |= also[:, _NAMED] & (one.codes[:, _NAMED] == _NEGATIVE)
    normal = asserted[:, _NORMAL] & also[:, _SICK].any(axis=1)
    normal |= also[:, _NORMAL] & asserted[:, _SICK].any(axis=1)
    asserted, also = asserted[:, _NAMED], also[:, _NAMED]
    contradictions = against.sum(axis=1) + normal
    columns = [
        (asserted & also).sum(axis=1),
        (asserted & ~also).sum(axis=1),
        (also & ~asserted).sum(axis=1),
        contradictions,
        contradictions > 0,
        np.ones(len(asserted)),
    ]
    return np.stack(columns, axis=-1).astype(np.float64)


def _agreement(sums: Floats) -> Floats:
    """F1 from (..., 6); one where neither section asserts anything: they agree."""
    both, lone = sums[..., 0], sums[..., 1] + sums[..., 2]
    return np.divide(2 * both, 2 * both + lone, out=np.ones_like(both), where=both + lone > 0)


def _per_study(sums: Floats, column: int) -> Floats:
    """A column's mean; a resample always has studies."""
    return np.asarray(sums[..., column] / sums[..., 5])


_STATISTICS: dict[str, Statistic] = {
    "agreement": _agreement,
    "contradictions": partial(_per_study, column=3),
    "contradicted": partial(_per_study, column=4),
}


@dataclass(frozen=True)
class Measured:
    """One metric of one system; ``against`` is its difference from the references', paired."""

    system: str
    metric: str
    interval: Interval
    against: Interval | None


@dataclass(frozen=True)
class Consistency:
    """All systems, the references first; empty where no study has both sections."""

    measured: tuple[Measured, ...]
    totals: dict[str, list[int]]
    studies: int
    subjects: int
    signature: dict[str, str | int]

    def value(self, system: str, metric: str) -> Interval:
        """One metric of one system; KeyError where there is none."""
        for each in self.measured:
            if (each.system, each.metric) == (system, metric):
                return each.interval
        raise KeyError(f"{metric} of {system}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "studies": self.studies,
            "subjects": self.subjects,
            "measured": [asdict(each) for each in self.measured],
            "totals": self.totals,
            "signature": self.signature,
        }

    def tracked(self) -> dict[str, float]:
        """``consistency/system/metric`` → value."""
        return {
            f"consistency/{each.system}/{each.metric}": each.interval.value
            for each in self.measured
            if each.interval.value is not None
        }


def measure_consistency(
    joined: Joined, uncertain_as: UncertainAs, resamples: int, seed: int
) -> Consistency:
    """Agreement and contradictions of every system, with intervals over subjects."""
    order = [name for name in (REFERENCE, MODEL, "shuffled", "blank") if name in joined.systems]
    subjects = len(set(joined.subjects))
    signature: dict[str, str | int] = {
        "labeler": f"cxrflow rule14 {labeler_rules.REVISION}",
        "observations": len(_NAMED),
        "uncertain_as": uncertain_as,
        "interval": "bootstrap percentile 95%",
        "unit": "subject",
        "resamples": resamples,
        "seed": seed,
    }
    if not joined.studies:
        return Consistency((), {}, 0, 0, signature)
    counts = {name: section_counts(joined.systems[name], uncertain_as) for name in order}
    bootstrap = make_bootstrap(joined.subjects, resamples, seed)
    ceiling = counts[REFERENCE]
    measured = tuple(
        Measured(
            name,
            metric,
            score_interval(bootstrap, _STATISTICS[metric], own),
            None
            if name == REFERENCE
            else difference_interval(bootstrap, _STATISTICS[metric], own, ceiling),
        )
        for name, own in counts.items()
        for metric in METRICS
    )
    totals = {name: [int(n) for n in own.sum(axis=0)] for name, own in counts.items()}
    return Consistency(measured, totals, len(joined.studies), subjects, signature)
