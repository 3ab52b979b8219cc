"""Does the text that a model wants drawn say what it was asked for, and does the film show it?

    request ─▶ answer ─▶ <Xray> span </Xray> ─▶ film
          rule14 of both texts            a classifier of real films

Of each request for a film the findings that it asks for (rule14: asserted in it, doubts left out)
are held to those that the span asserts, with their sides and degrees, and so is the film's view
(``held_request``). What goes wrong is counted by kind; a request may show several. ``reference`` is
the span that the request was written with: a request names the main findings of a report, so its
precision is the ceiling. ``shuffled`` holds the model's spans to another subject's request.
A whole span of a view that the model which draws has not been shown is drawn by nobody; it is
counted beside the failures of the text, and takes no part in ``coherent-requests``.
Shapes: N requests, K counts, T targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from evaluation import labeler_rules
from evaluation.film_targets import FINDINGS, film_targets
from evaluation.held_request import FAILURES, VIEW_NOT_LEARNED, Held, hold
from evaluation.prompted_findings import FilmReadings, score_findings, score_sides
from evaluation.statistics import (
    Floats,
    Interval,
    make_bootstrap,
    mean_of,
    score_interval,
)
from evaluation.turned import turned_rows
from sources.learned_views import ViewCounts, unlearned_view
from sources.xray_span import XrayAnswer, read_span

VERSION: Final = "3"
REFERENCE: Final = "reference"
MODEL: Final = "none"
SHUFFLED: Final = "shuffled"
SHOWN_FROM: Final = 0.5
"""The classifier's probability from which a film is counted as showing a finding. Our choice: the
middle of what it was trained towards; the AUROCs beside it need none."""
_COLUMNS: Final = (
    *("shown", "asked", "said", "right", "sided", "fitting", "graded"),
    *("seen", "viewed", "whole", "coherent", "requests"),
)
"""Counts of a ``Held``."""
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "span-recall": ("shown", "asked"),
    "span-precision": ("shown", "said"),
    "span-side-accuracy": ("right", "sided"),
    "span-degree-accuracy": ("fitting", "graded"),
    "span-view-accuracy": ("seen", "viewed"),
    "whole-spans": ("whole", "requests"),
    "coherent-requests": ("coherent", "requests"),
}
"""By metric the counts that it is a share of: asked findings that the span asserts; findings of the
span that were asked for; findings asked for on one side, or in one degree, that the span has so and
not otherwise; requests with a view whose span is of it; answers with exactly one whole span;
requests whose text has no failure."""


@dataclass(frozen=True)
class Requests:
    """N requests, what a model answered, and the answers that they were written with.

    Args:
        units: the subject behind each.
    """

    texts: tuple[str, ...]
    answers: tuple[str, ...]
    references: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """One metric of one system."""

    system: str
    metric: str
    interval: Interval


@dataclass(frozen=True)
class Coherence:
    """All systems: shares with intervals over subjects, and failures counted by kind."""

    measured: tuple[Measured, ...]
    failures: Mapping[str, Mapping[str, int]]
    requests: int
    subjects: int
    signature: Mapping[str, str | int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; unknown numbers are None."""
        return {
            "requests": self.requests,
            "subjects": self.subjects,
            "measured": [asdict(each) for each in self.measured],
            "failures": {name: dict(counts) for name, counts in self.failures.items()},
            "signature": dict(self.signature),
        }

    def value(self, system: str, metric: str) -> Interval:
        """One metric of one system; KeyError where there is none."""
        for each in self.measured:
            if (each.system, each.metric) == (system, metric):
                return each.interval
        raise KeyError(f"{metric} of {system}")

    def tracked(self, name: str = "coherence") -> dict[str, float]:
        """``name/system/metric`` → value."""
        return {
            f"{name}/{each.system}/{each.metric}": each.interval.value
            for each in self.measured
            if each.interval.value is not None
        }


def measure_coherence(
    requests: Requests, resamples: int, seed: int, views: ViewCounts | None = None
) -> Coherence:
    """Spans held to their requests: the model's, the references', and the model's to others'.

    Args:
        views: what the model that draws has been shown, where that is known.
    """
    signature: dict[str, str | int] = {
        "implementation": "cxrflow",
        "version": VERSION,
        "labeler": f"cxrflow rule14 {labeler_rules.REVISION}",
        "uncertain_as": "left out",
        "requests": len(requests.texts),
        "subjects": len(set(requests.units)),
        "interval": "bootstrap percentile 95%",
        "unit": "subject",
        "resamples": resamples,
        "seed": seed,
    }
    if not requests.texts:
        return Coherence((), {}, 0, 0, signature)
    turned = [requests.texts[row] for row in turned_rows(requests.units)]
    systems = {
        REFERENCE: (requests.texts, requests.references),
        MODEL: (requests.texts, requests.answers),
        SHUFFLED: (turned, requests.answers),
    }
    bootstrap = make_bootstrap(requests.units, resamples, seed)
    measured: list[Measured] = []
    failures = {}
    for name, (texts, answers) in systems.items():
        spans = [read_span(answer) for answer in answers]
        held = [hold(text, span) for text, span in zip(texts, spans, strict=True)]
        counts = counts_of(held)
        failures[name] = _counted(held) | {VIEW_NOT_LEARNED: _not_learned(spans, views)}
        measured += [
            Measured(name, metric, score_interval(bootstrap, share_of(metric), counts))
            for metric in METRICS
        ]
    subjects = len(set(requests.units))
    return Coherence(tuple(measured), failures, len(requests.texts), subjects, signature)


def counts_of(held: Sequence[Held]) -> Floats:
    """(N, K) what each metric's share is of; the last column is one for every request."""
    rows = [[getattr(each, name) for name in _COLUMNS] for each in held]
    return np.array(rows, dtype=np.float64).reshape(len(held), len(_COLUMNS))


def _counted(held: Sequence[Held]) -> dict[str, int]:
    counts = Counter(kind for each in held for kind in each.failures)
    return {kind: counts[kind] for kind in FAILURES}


def _not_learned(spans: Sequence[XrayAnswer], views: ViewCounts | None) -> int:
    """How many whole spans are of a view that was not shown."""
    whole = [span.prompt for span in spans if span.fault is None and span.prompt is not None]
    return sum(unlearned_view(text, views) is not None for text in whole)


def share_of(metric: str) -> Callable[[Floats], Floats]:
    """A metric from summed counts (..., K)."""
    part, whole = (_COLUMNS.index(name) for name in METRICS[metric])
    return partial(_of_columns, part=part, whole=whole)


def _of_columns(sums: Floats, part: int, whole: int) -> Floats:
    return mean_of(np.stack([sums[..., part], sums[..., whole]], axis=-1))


# The films of the spans.


@dataclass(frozen=True)
class NotDrawn:
    """Requests without a film: those whose answer has no whole span, and by view those whose span
    is of one that was not shown."""

    without_span: int = 0
    view_not_learned: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many there are."""
        return self.without_span + sum(self.view_not_learned.values())


NONE_LOST: Final = NotDrawn()


@dataclass(frozen=True)
class FilmCoherence:
    """What a classifier finds on the films of M spans.

    Args:
        not_drawn: the other requests: with the films they are all.
        measured: AUROC of the classifier against the span's findings and the request's, and sides;
            system ``none``, and ``shuffled`` where films are held to others' texts.
        asked, missed: findings asked for, and those of them that the film does not show.
    """

    measured: tuple[Measured, ...]
    films: int
    findings: tuple[str, ...]
    asked: int
    missed: int
    not_drawn: NotDrawn

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "requests": self.films + self.not_drawn.requests,
            "films": self.films,
            "without_whole_span": self.not_drawn.without_span,
            "view_not_learned": dict(self.not_drawn.view_not_learned),
            "findings": list(self.findings),
            "asked_findings": self.asked,
            "not_on_film": self.missed,
            "shown_from": SHOWN_FROM,
            "measured": [asdict(each) for each in self.measured],
        }


def measure_films(
    probabilities: Floats,
    requests: Sequence[str],
    spans: Sequence[str],
    units: Sequence[str],
    resamples: int,
    seed: int,
    not_drawn: NotDrawn = NONE_LOST,
) -> FilmCoherence:
    """Films held to the spans that they were drawn from and to the requests behind those.

    Args:
        probabilities: (M, T) of the classifier.
        not_drawn: requests that have no film.
    """
    turned = turned_rows(units)
    texts = {
        (MODEL, "span"): list(spans),
        (MODEL, "request"): list(requests),
        (SHUFFLED, "span"): [spans[row] for row in turned],
        (SHUFFLED, "request"): [requests[row] for row in turned],
    }
    measured: list[Measured] = []
    known: dict[str, tuple[str, ...]] = {}
    for (system, what), held in texts.items():
        films = FilmReadings(probabilities, film_targets(held), tuple(units))
        asked = known.get(what, FINDINGS)
        found = score_findings(films, films, resamples, seed, asked)
        known.setdefault(what, tuple(each.finding for each in found.findings))
        sides = score_sides(films, films, resamples, seed)
        measured.append(Measured(system, f"film-of-{what}-AUROC-macro", found.drawn))
        measured.append(Measured(system, f"film-of-{what}-side-accuracy", sides.drawn))
    wanted = film_targets(requests)[:, : len(FINDINGS)] == 1.0
    hidden = wanted & (probabilities[:, : len(FINDINGS)] < SHOWN_FROM)
    shares = np.stack([(wanted & ~hidden).sum(axis=1), wanted.sum(axis=1)], axis=1)
    bootstrap = make_bootstrap(list(units), resamples, seed)
    on_film = score_interval(bootstrap, mean_of, shares.astype(np.float64))
    measured.append(Measured(MODEL, "asked-findings-on-film", on_film))
    return FilmCoherence(
        tuple(measured), len(spans), known["span"], int(wanted.sum()), int(hidden.sum()), not_drawn
    )
