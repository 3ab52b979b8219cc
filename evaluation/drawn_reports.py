"""What a report model writes of drawn films, against what their prompts ask for.

The report model has never seen a prompt: where the two agree by rule14, the film carried it over.
The same model's reports of real films, against those films' own reports, are the most to be had.
Shapes: N films.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evaluation.clinical import LabelMatrix, LabelScore, confusion, label_scores, macro_f1, micro_f1
from evaluation.clinical import UncertainAs as UncertainAs
from evaluation.labeler import label_reports
from evaluation.statistics import (
    Floats,
    Interval,
    difference_interval,
    make_bootstrap,
    score_interval,
)
from infra.errors import InputError

VERSION: Final = "1"


@dataclass(frozen=True)
class Agreement:
    """F1 over the 14 observations; the interval draws units (a prompt with all its films)."""

    micro: Interval
    macro: Interval
    findings: tuple[LabelScore, ...]
    films: int


def report_agreement(
    prompts: Sequence[str],
    reports: Sequence[str],
    units: Sequence[str],
    uncertain_as: UncertainAs,
    resamples: int,
    seed: int,
) -> Agreement:
    """rule14 of each report against rule14 of the prompt its film was drawn from.

    Raises:
        InputError: the three are not of one length, or empty.
    """
    if not len(prompts) == len(reports) == len(units) or not prompts:
        raise InputError(
            f"{len(prompts)} prompts, {len(reports)} reports and {len(units)} units",
            "one of each for every film",
            "write a report of each drawn film",
        )
    cells = _cells(prompts, reports, uncertain_as)
    bootstrap = make_bootstrap(units, resamples, seed)
    return Agreement(
        score_interval(bootstrap, micro_f1, cells),
        score_interval(bootstrap, macro_f1, cells),
        tuple(label_scores(cells)),
        len(prompts),
    )


def agreements_apart(
    prompts: Sequence[str],
    others: Sequence[str],
    reports: Sequence[str],
    units: Sequence[str],
    uncertain_as: UncertainAs,
    resamples: int,
    seed: int,
) -> tuple[Interval, Interval]:
    """Micro and macro F1 of the reports against their prompts less those against ``others``, on the
    same draws of units."""
    own, other = (_cells(texts, reports, uncertain_as) for texts in (prompts, others))
    bootstrap = make_bootstrap(units, resamples, seed)
    micro, macro = (
        difference_interval(bootstrap, statistic, own, other) for statistic in (micro_f1, macro_f1)
    )
    return micro, macro


def _cells(prompts: Sequence[str], reports: Sequence[str], uncertain_as: UncertainAs) -> Floats:
    asked, told = (LabelMatrix.of(label_reports(texts)) for texts in (prompts, reports))
    return confusion(asked, told, uncertain_as)
