"""All that is measured of drawn films, each number with interval and signature.

    scores = image_scores([*distances(...), similarity(...), *findings(...)], unavailable)
    scores.to_dict()       rows of the same shape as those of texts, for JSON and the leaderboard

Each part may be missing, where weights are not here or no report model was asked: it is then under
``unavailable`` with the reason, never a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from evaluation import diversity as similar
from evaluation import (
    drawn_reports,
    frechet_scale,
    kernel_distance,
    prompted_findings,
    prompted_view,
    ssim,
)
from evaluation.diversity import Diversity
from evaluation.drawn_reports import Agreement
from evaluation.frechet_scale import FilmSets
from evaluation.prompted_findings import SEEN_FROM, Beside, PromptedFindings, SideScore
from evaluation.prompted_view import ViewProbe, ViewScore
from evaluation.signature import Signature
from evaluation.statistics import Interval

FORMAT: Final = 1
"""Raise when a reader of ``to_dict`` must change."""
OWN: Final = "cxrflow"


@dataclass(frozen=True)
class Scored:
    """What every signature tells of one set of drawn films.

    ``unit`` is what the bootstrap draws: prompts, each with all its films, or subjects with all
    their prompts.
    """

    prompts: int
    subjects: int
    films: int
    side_px: int
    resamples: int
    seed: int
    unit: str = "prompt"

    def signature(self, metric: str, version: str, level: str, **more: Any) -> Signature:
        """Of one metric; ``more`` overrides and adds."""
        told: dict[str, Any] = {
            "metric": metric,
            "implementation": OWN,
            "version": version,
            "scale": "0-1",
            "level": level,
            "section": f"films of {self.side_px} px",
            "studies": self.prompts,
            "subjects": self.subjects,
            "examples": self.films,
            "interval": "bootstrap percentile 95%",
            "resamples": self.resamples,
            "seed": self.seed,
            "unit": self.unit,
            "empty_output": "every prompt has its film",
            "images": self.films,
        }
        return Signature(**{**told, **more})


@dataclass(frozen=True)
class ImageScore:
    """One number of drawn films; ``ceiling`` is the same of real films, where there is such.

    ``control`` is ``none`` for the trained model's films held to their own prompts.
    """

    metric: str
    interval: Interval
    higher_is_better: bool
    signature: Signature
    ceiling: Interval | None = None
    is_detail: bool = False
    control: str = "none"

    def to_row(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric": self.metric,
            "control": self.control,
            **asdict(self.interval),
            "higher_is_better": self.higher_is_better,
            "is_detail": self.is_detail,
            "real_films": None if self.ceiling is None else asdict(self.ceiling),
            "signature": self.signature.fields(),
        }


@dataclass(frozen=True)
class ImageScores:
    """All of them; ``unavailable`` says by metric why it has no number."""

    scores: tuple[ImageScore, ...]
    unavailable: Mapping[str, str]

    def score(self, metric: str) -> ImageScore:
        """The model's own score of that name; KeyError where there is none."""
        for score in self.scores:
            if (score.metric, score.control) == (metric, "none"):
                return score
        raise KeyError(metric)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [each.to_row() for each in self.scores]
        return {"format": FORMAT, "scores": rows, "unavailable": dict(self.unavailable)}

    def tracked(self) -> dict[str, float]:
        """``control/metric`` → value, in names that MLflow accepts."""
        names = str.maketrans({"[": ".", "]": None, "=": "-", ",": None})
        return {
            f"{each.control}/{each.metric.translate(names)}": each.interval.value
            for each in self.scores
            if each.interval.value is not None
        }


def distance_names(extractor: str) -> tuple[str, str, str]:
    """What ``distances`` measures with an extractor."""
    return (
        f"Frechet-relative[{extractor}]",
        f"Frechet[{extractor}]",
        f"kernel-distance[{extractor}]",
    )


def distances(sets: FilmSets, extractor: str, weights: str, scored: Scored) -> list[ImageScore]:
    """Fréchet distance, its place on the scale of real and untrained, and the kernel distance.

    Args:
        extractor: which network the features are of.
        weights: the digest of its weights.
    """
    relative, plain, kernel = distance_names(extractor)
    scale = frechet_scale.frechet_scale(sets, scored.seed)
    apart = kernel_distance.kernel_distance(sets.generated, sets.test, scored.seed)
    real = kernel_distance.kernel_distance(sets.train, sets.test, scored.seed)
    told = {"model": extractor, "weights": weights}
    films = {"examples": scale.films, "images": scale.films, "unit": "film of any of the sets"}
    none = {"interval": "none: a resample lies further off", "resamples": 0, "scale": "distance"}
    level = "to real test films, of as many of each"
    subsets = f"mean over {apart.subsets} subsets of {apart.size}"
    spread = {"interval": "1.96 standard errors over subsets", "resamples": apart.subsets}
    return [
        ImageScore(
            relative,
            scale.relative,
            False,
            scored.signature(
                relative,
                frechet_scale.VERSION,
                f"{level}; 0 real training films, 1 the untrained model",
                **{**told, **films, "resamples": frechet_scale.RESAMPLES},
            ),
        ),
        ImageScore(
            plain,
            Interval(scale.generated, None, None),
            False,
            scored.signature(plain, frechet_scale.VERSION, level, **{**told, **films, **none}),
            Interval(scale.real, None, None),
        ),
        ImageScore(
            kernel,
            _by_error(apart),
            False,
            scored.signature(
                kernel,
                kernel_distance.VERSION,
                f"to real test films, {subsets}",
                **{**told, **spread, "scale": "distance", "unit": "subset of films"},
            ),
            _by_error(real),
        ),
    ]


def _by_error(found: kernel_distance.KernelDistance) -> Interval:
    if found.standard_error is None:
        return Interval(found.value, None, None)
    reach = 1.96 * found.standard_error
    return Interval(found.value, found.value - reach, found.value + reach)


SIMILARITY: Final = "MS-SSIM-of-pairs"
AUROC: Final = "prompted-finding-AUROC"
SIDE: Final = "prompted-side-accuracy"
REPORT: Final = "rule14-of-drawn-F1"
VIEW: Final = "prompted-view-accuracy"
SEEN: Final = f"that the classifier finds on real films at {SEEN_FROM} or above"


def similarity(drawn: Diversity, real: Diversity | None, scored: Scored) -> ImageScore:
    """How alike the films of a prompt are; ``real`` is the same of real films."""
    signature = scored.signature(
        SIMILARITY,
        ssim.VERSION,
        f"mean over {drawn.groups} prompts of the mean over their pairs",
        tokenizer=f"{drawn.scales} scales of MS-SSIM's 5, window {ssim.WINDOW_PX} px",
        resamples=similar.RESAMPLES,
    )
    ceiling = None if real is None else real.similarity
    return ImageScore(SIMILARITY, drawn.similarity, False, signature, ceiling)


def findings(
    found: PromptedFindings,
    sides: SideScore,
    classifier: str,
    scored: Scored,
    control: str = "none",
) -> list[ImageScore]:
    """What a classifier of real films finds of what was asked for.

    Args:
        classifier: the digest of its weights.
    """
    version, labels = prompted_findings.VERSION, "rule14 of the prompt"
    told = {"labels": labels, "model": "finding classifier", "weights": classifier}
    told |= {"uncertain_as": "left out"}

    def row(metric: str, level: str, beside: Beside, *, is_detail: bool = False) -> ImageScore:
        about = scored.signature(metric, version, level, **told)
        return ImageScore(metric, beside.drawn, True, about, beside.real, is_detail, control)

    seen = [each for each in found.findings if each.is_seen]
    sided = [each for each in sides.by_finding if each.is_seen]
    cases = f"{sides.cases} cases of {sides.prompts} prompts"
    some = f"{sum(each.cases for each in sided)} cases of {len(sided)} findings"
    return [
        row(f"{AUROC}-macro", f"mean over {len(found.findings)} findings", found),
        row(f"{AUROC}-macro-seen", f"mean over {len(seen)} findings {SEEN}", found.seen),
        *(
            row(f"{AUROC}[{each.finding}]", "films", each, is_detail=True)
            for each in found.findings
        ),
        _of_prompts(row(SIDE, cases, sides), sides.prompts),
        row(f"{SIDE}-seen", f"{some} {SEEN}", sides.seen),
        *(
            row(f"{SIDE}[{each.finding}]", f"{each.cases} cases", each, is_detail=True)
            for each in sides.by_finding
        ),
    ]


def views(
    found: ViewScore, probe: ViewProbe, classifier: str, scored: Scored, control: str = "none"
) -> list[ImageScore]:
    """How many films are of the view that was asked for.

    Args:
        classifier: the digest of the weights that the probe reads films by.
    """
    model = f"logistic regression of the finding classifier's features, {probe.films} real films"
    told = {"labels": "/".join(probe.views), "model": model, "weights": classifier}

    def row(metric: str, films: int, beside: Beside, *, is_detail: bool = False) -> ImageScore:
        about = scored.signature(metric, prompted_view.VERSION, f"{films} films", **told)
        return ImageScore(metric, beside.drawn, True, about, beside.real, is_detail, control)

    return [
        row(VIEW, found.films, found),
        *(row(f"{VIEW}[{each.view}]", each.films, each, is_detail=True) for each in found.by_view),
    ]


def _of_prompts(score: ImageScore, prompts: int) -> ImageScore:
    return replace(score, signature=replace(score.signature, studies=prompts))


def reports(
    drawn: Agreement,
    real: Agreement | None,
    uncertain_as: str,
    model: str,
    scored: Scored,
    control: str = "none",
) -> list[ImageScore]:
    """What a report model writes of drawn films against their prompts.

    Args:
        model: the digest of the report model's weights.
    """
    told = {"labels": "rule14", "uncertain_as": uncertain_as, "model": "report model"}
    found = []
    for average in ("micro", "macro"):
        name = f"{REPORT}-{average}"
        about = scored.signature(
            name, drawn_reports.VERSION, f"{average} over 14", weights=model, **told
        )
        ceiling = None if real is None else getattr(real, average)
        value = getattr(drawn, average)
        found.append(ImageScore(name, value, True, about, ceiling, control=control))
    return found


def image_scores(
    parts: Sequence[ImageScore], unavailable: Mapping[str, str] | None = None
) -> ImageScores:
    """All parts as one, in their order."""
    return ImageScores(tuple(parts), unavailable or {})
