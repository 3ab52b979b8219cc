"""All scores of an ability that draws: what its films reach beside real ones and two controls.

``untrained`` are films of an untrained model of the same shape, from the same prompts and noise;
``shuffled`` are the model's own films held to another subject's prompt. Every interval draws
subjects, but for the distances (see ``image_quality``). Shapes: N films, W width of features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from evaluation import image_quality
from evaluation.drawn_reports import UncertainAs, agreements_apart, report_agreement
from evaluation.film_targets import FINDINGS
from evaluation.frechet_scale import FilmSets
from evaluation.image_quality import ImageScore, ImageScores, Scored, image_scores
from evaluation.prompted_findings import (
    SEEN_FROM,
    FilmReadings,
    PromptedFindings,
    SideScore,
    findings_apart,
    score_findings,
    score_sides,
    shuffled,
    sides_apart,
)
from evaluation.prompted_view import (
    FilmViews,
    fit_probe,
    score_views,
    shuffled_views,
    views_apart,
)
from evaluation.statistics import Interval
from evaluation.turned import turned_rows
from infra.errors import InputError
from sources.learned_views import ViewCounts, unlearned_view

FORMAT: Final = 2
"""Raise when a reader of ``DrawnScores.to_dict`` must change; 2 has ``differences``."""
FEWEST_FINDINGS: Final = 5
"""A mean over fewer says little of a model that draws chests (the bar that the recipe is held to);
it is told all the same, with a note."""
UNTRAINED: Final = "untrained"
SHUFFLED: Final = "shuffled"


@dataclass(frozen=True)
class Judged:
    """What the classifier reads of N films of each kind, and the digest of its weights."""

    drawn: FilmReadings
    untrained: FilmReadings
    real: FilmReadings
    weights: str


@dataclass(frozen=True)
class Reported:
    """What a report model wrote about drawn and real films, and the digest of its weights.

    Args:
        references: what each film was asked by; a real film's own report.
        units: the subject behind each film.
    """

    references: tuple[str, ...]
    drawn: tuple[str, ...]
    real: tuple[str, ...]
    units: tuple[str, ...]
    weights: str


@dataclass(frozen=True)
class DrawnDifference:
    """The model less a control in one metric, paired by prompt; higher is better in all of them."""

    metric: str
    control: str
    difference: Interval

    def to_row(self) -> dict[str, Any]:
        """Plain values for JSON, as of the differences of answers and reports; ``beats`` says that
        all of the interval is above zero."""
        better = self.difference.better(higher_is_better=True)
        return {
            "metric": self.metric,
            "control": self.control,
            **asdict(self.difference),
            "beats": better is True,
            "loses": better is False,
            "higher_is_better": True,
        }


@dataclass(frozen=True)
class DrawnScores:
    """Everything measured of one set of prompts.

    Args:
        differences: of the model from each control.
        sources: prompts by source.
        findings: those that were judged, with how many subjects have and lack them.
        without_support: those with too few subjects on a side.
        notes: what a reader must know of the numbers, a line each.
    """

    told: Scored
    scores: ImageScores
    differences: tuple[DrawnDifference, ...]
    sources: Mapping[str, int]
    findings: Mapping[str, tuple[int, int]]
    without_support: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without any text of the data."""
        return {
            "kind": "draw",
            "prompts": self.told.prompts,
            "subjects": self.told.subjects,
            "films": self.told.films,
            "side_px": self.told.side_px,
            "sources": dict(self.sources),
            "findings": {name: list(counts) for name, counts in self.findings.items()},
            "without_support": list(self.without_support),
            "notes": list(self.notes),
            "differences": [each.to_row() for each in self.differences],
            **self.scores.to_dict(),
            "format": FORMAT,
        }


def nothing_drawn(why: str) -> DrawnScores:
    """The scores of no prompt at all."""
    none = Scored(0, 0, 0, 0, 0, 0, "subject")
    return DrawnScores(none, image_scores([], {"films": why}), (), {}, {}, (), ())


@dataclass(frozen=True)
class FoundOnFilms:
    """What the classifier finds on the model's films, as rows of scores beside both controls."""

    scores: tuple[ImageScore, ...]
    differences: tuple[DrawnDifference, ...]
    findings: PromptedFindings
    sides: SideScore


def judged_scores(judged: Judged, scored: Scored, asked: Sequence[str] = FINDINGS) -> FoundOnFilms:
    """AUROC by finding and sides: of the films, and of both controls."""
    real, draws = judged.real, (scored.resamples, scored.seed)
    found = score_findings(judged.drawn, real, *draws, asked)
    known = [each.finding for each in found.findings]
    sides = score_sides(judged.drawn, real, *draws)
    scores = image_quality.findings(found, sides, judged.weights, scored)
    differences: list[DrawnDifference] = []
    for control, other in (
        (UNTRAINED, judged.untrained),
        (SHUFFLED, shuffled(judged.drawn)),
    ):
        beside = score_findings(other, real, *draws, known)
        turned = score_sides(other, real, *draws)
        scores += image_quality.findings(beside, turned, judged.weights, scored, control)
        for name, seen_alone in (("", False), ("-seen", True)):
            told = [one.finding for one in sides.by_finding if one.is_seen or not seen_alone]
            gaps = {
                f"{image_quality.AUROC}-macro": findings_apart(
                    found, beside, seen_alone=seen_alone
                ),
                image_quality.SIDE: sides_apart(judged.drawn, other, told, *draws),
            }
            differences += [
                DrawnDifference(f"{metric}{name}", control, gap) for metric, gap in gaps.items()
            ]
    return FoundOnFilms(tuple(scores), tuple(differences), found, sides)


@dataclass(frozen=True)
class Viewed:
    """Films of the same prompts in the same order, of each kind, and real training films, all with
    the features that a probe of views reads; and the digest of the weights behind those."""

    drawn: FilmViews
    untrained: FilmViews
    real: FilmViews
    train: FilmViews
    weights: str


@dataclass(frozen=True)
class FoundOfViews:
    """How many films are of the view that was asked for, beside both controls; ``unavailable`` says
    by metric why it has no number."""

    scores: tuple[ImageScore, ...] = ()
    differences: tuple[DrawnDifference, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def viewed_scores(viewed: Viewed, scored: Scored) -> FoundOfViews:
    """Views of the films, and of both controls, as a probe of real films reads them."""
    name, draws = image_quality.VIEW, (scored.resamples, scored.seed)
    try:
        probe, reasons = fit_probe(viewed.train, viewed.drawn)
    except InputError as error:
        return FoundOfViews(unavailable={name: str(error)})
    own = score_views(probe, viewed.drawn, viewed.real, *draws)
    scores = image_quality.views(own, probe, viewed.weights, scored)
    differences = []
    for control, other in (
        (UNTRAINED, viewed.untrained),
        (SHUFFLED, shuffled_views(viewed.drawn)),
    ):
        beside = score_views(probe, other, viewed.real, *draws)
        scores += image_quality.views(beside, probe, viewed.weights, scored, control)
        gap = views_apart(probe, viewed.drawn, other, *draws)
        differences.append(DrawnDifference(name, control, gap))
    unseen = [each.view for each in own.by_view if not each.is_seen]
    notes = [f"views that the probe tells on real films at less than {SEEN_FROM}, so that "
             f"{name} says little of them: {', '.join(unseen)}"] if unseen else []  # fmt: skip
    unavailable = {f"{name}[{view}]": why for view, why in reasons.items()}
    return FoundOfViews(tuple(scores), tuple(differences), unavailable, tuple(notes))


def unlearned_notes(prompts: Sequence[str], views: ViewCounts | None) -> list[str]:
    """Prompts that a model cannot follow in their view."""
    asked = Counter(filter(None, (unlearned_view(prompt, views) for prompt in prompts)))
    told = ", ".join(f"{view} {count}" for view, count in sorted(asked.items()))
    line = "prompts for a view that the model has not been shown, drawn as another one"
    return [f"{line}: {told}"] if told else []


def notes_of(found: FoundOnFilms) -> list[str]:
    """Whether the mean over findings is of too few of them, and what the classifier cannot see."""
    judged = [each.finding for each in found.findings.findings]
    notes = []
    if len(judged) < FEWEST_FINDINGS:
        names = f" ({', '.join(judged)})" if judged else ""
        notes.append(
            f"{len(judged)} findings{names} have enough subjects with and without them, fewer than "
            f"the {FEWEST_FINDINGS} that a mean over findings is worth"
        )
    for what, each in (
        ("findings", found.findings.findings),
        ("sides of findings", found.sides.by_finding),
    ):
        unseen = [one.finding for one in each if not one.is_seen]
        if unseen:
            notes.append(
                f"{what} that the classifier tells on real films at less than {SEEN_FROM}, which "
                f"numbers named seen leave out: {', '.join(unseen)}"
            )
    return notes


def likeness_notes(scores: Sequence[ImageScore]) -> list[str]:
    """How far drawn films are in terms of real ones, and whether they are more alike: a place on a
    scale whose far end is noise hides both."""
    notes = []
    for each in scores:
        own, real = each.interval, each.ceiling
        if own.value is None or real is None or real.value is None:
            continue
        if each.metric.startswith("Frechet[") and real.value > 0:
            ratio = own.value / real.value
            notes.append(
                f"{each.metric}: drawn films are {ratio:.1f} times as far from real test films as "
                "real training films are"
            )
        if each.metric == image_quality.SIMILARITY and own.value > real.value:
            notes.append(_more_alike(own, real))
    return notes


def _more_alike(own: Interval, real: Interval) -> str:
    told = f"films of one prompt ({own.value:.3f}) are more alike than real ones of one finding"
    is_apart = own.low is not None and real.high is not None and own.low > real.high
    return f"{told} ({real.value:.3f}): " + (
        "low diversity, which a prompt that says more than a finding explains in part"
        if is_apart
        else "no further than chance explains"
    )


def unjudged(found: PromptedFindings) -> dict[str, str]:
    """What could not be judged, and why."""
    if found.findings:
        return {}
    return {f"{image_quality.AUROC}-macro": "no finding has enough subjects with and without it"}


def distance_scores(
    sets: Mapping[str, FilmSets], weights: Mapping[str, str], scored: Scored
) -> tuple[list[ImageScore], dict[str, str]]:
    """Distances by extractor; those that cannot be measured, with the reason."""
    scores: list[ImageScore] = []
    unavailable: dict[str, str] = {}
    for extractor, each in sets.items():
        try:
            scores += image_quality.distances(each, extractor, weights[extractor], scored)
        except InputError as error:
            why = str(error)
            unavailable |= dict.fromkeys(image_quality.distance_names(extractor), why)
    return scores, unavailable


def reported_scores(
    told: Reported, uncertain_as: UncertainAs, scored: Scored
) -> tuple[list[ImageScore], list[DrawnDifference]]:
    """What the report model reads off the films, and off them against another's prompt."""
    draws = (uncertain_as, scored.resamples, scored.seed)
    drawn = report_agreement(told.references, told.drawn, told.units, *draws)
    real = report_agreement(told.references, told.real, told.units, *draws)
    turned = [told.references[row] for row in turned_rows(told.units)]
    other = report_agreement(turned, told.drawn, told.units, *draws)
    gaps = agreements_apart(told.references, turned, told.drawn, told.units, *draws)
    scores = [
        *image_quality.reports(drawn, real, uncertain_as, told.weights, scored),
        *image_quality.reports(other, real, uncertain_as, told.weights, scored, SHUFFLED),
    ]
    names = (f"{image_quality.REPORT}-{average}" for average in ("micro", "macro"))
    return scores, [
        DrawnDifference(name, SHUFFLED, gap) for name, gap in zip(names, gaps, strict=True)
    ]
