"""The grounding score: do the maps of a sentence lie in the true boxes, more than by chance?

Every sentence has a map with its own image and one with another study's; text and box stay the
same, so what both reach is the text's and the anatomy's doing. Beside them stand two maps that look
at no image: the uniform one and a hill in the middle. Shapes: N sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from evaluation.grounding_choice import (
    EVERY,
    FOCAL,
    Candidate,
    Choice,
    Grounded,
    Key,
    Measured,
    way_of,
)
from evaluation.grounding_maps import (
    POINTING_TOLERANCE,
    centre_map,
    energy_inside,
    points_inside,
    uniform_map,
)
from evaluation.signature import Signature
from evaluation.statistics import (
    Bootstrap,
    Floats,
    Interval,
    difference_interval,
    make_bootstrap,
    mean_of,
    score_interval,
)

FORMAT: Final = 1
"""Raise when a reader of ``grounding.json`` must change."""
VERSION: Final = "1"
METRICS: Final = ("energy", "pointing")
BASELINES: Final = ("shuffled", "uniform", "centre")


@dataclass(frozen=True)
class GroundingScore:
    """One number; ``group`` is ``all`` or ``focal, sided``; ``control`` none or a baseline."""

    text: str
    source: str
    group: str
    method: str
    metric: str
    control: str
    interval: Interval
    signature: Signature


@dataclass(frozen=True)
class GroundingDifference:
    """The model's maps less a baseline's, paired by sentence."""

    text: str
    source: str
    group: str
    method: str
    metric: str
    control: str
    difference: Interval
    sentences: int


@dataclass(frozen=True)
class Grounding:
    """Everything that was found: scores, differences, how the method was chosen, what is absent."""

    choice: Choice
    candidates: tuple[Candidate, ...]
    scores: tuple[GroundingScore, ...]
    differences: tuple[GroundingDifference, ...]
    unavailable: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, int]]
    sentences: int = 0
    subjects: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON values in the order of the page."""
        return {
            "format": FORMAT,
            "sentences": self.sentences,
            "subjects": self.subjects,
            "choice": {**asdict(self.choice), "name": self.choice.name},
            "candidates": [{**asdict(one), "gain": one.gain} for one in self.candidates],
            "scores": [_score_row(one) for one in self.scores],
            "differences": [_difference_row(one) for one in self.differences],
            "outcomes": {text: dict(counts) for text, counts in self.outcomes.items()},
            "unavailable": dict(self.unavailable),
        }

    def tracked(self) -> dict[str, float]:
        """The chosen method's numbers by name, for a registry."""
        return {
            "/".join(
                ("grounding", one.source, one.text, one.group, one.metric, one.control)
            ): one.interval.value
            for one in self.scores
            if one.method == self.choice.name and one.interval.value is not None
        }


def score_grounding(
    measured: Measured,
    ranked: Sequence[Candidate],
    choice: Choice,
    *,
    resamples: int,
    seed: int,
    outcomes: Mapping[str, Mapping[str, int]],
    unavailable: Mapping[str, str],
) -> Grounding:
    """Scores of every measured method on test sentences, by source, kind of text and group.

    Baselines that look at no image are scored once, with the chosen method.
    """
    sentences = measured.sentences
    boards = [
        _Board(measured, text, source, group, rows, resamples, seed)
        for text, source, group, rows in _groups(sentences)
    ]
    shown = [key for key in measured.keys if key[1] in (1.0, choice.sharpness)]
    chosen = (choice.method, choice.sharpness)
    baselines = _baselines(sentences)
    return Grounding(
        choice=choice,
        candidates=tuple(ranked),
        scores=tuple(
            score for board in boards for key in shown
            for score in board.scores(key, baselines if key == chosen else {})
        ),
        differences=tuple(
            item for board in boards for key in shown
            for item in board.differences(key, baselines if key == chosen else {})
        ),
        unavailable=unavailable,
        outcomes=outcomes,
        sentences=len(sentences),
        subjects=len({one.subject for one in sentences}),
    )  # fmt: skip


def _groups(sentences: Sequence[Grounded]) -> list[tuple[str, str, str, list[int]]]:
    """(text, source, group, rows): all sentences of a kind and source, and the focal, sided."""
    found = []
    for text, source in dict.fromkeys((one.text, one.source) for one in sentences):
        rows = [r for r, one in enumerate(sentences) if (one.text, one.source) == (text, source)]
        found.append((text, source, EVERY, rows))
        focal = [row for row in rows if sentences[row].is_focal_sided]
        if focal:
            found.append((text, source, FOCAL, focal))
    return found


def _baselines(sentences: Sequence[Grounded]) -> dict[str, dict[str, Floats]]:
    """(N,) of each metric for the maps that look at no image."""
    found = {}
    for name, heat in (("uniform", uniform_map()), ("centre", centre_map())):
        found[name] = {
            "energy": np.array([energy_inside(heat, one.boxes) for one in sentences]),
            "pointing": np.array([points_inside(heat, one.boxes) for one in sentences]),
        }
    return found


@dataclass(frozen=True)
class _Board:
    """One group of sentences with the resamples of its subjects."""

    measured: Measured
    text: str
    source: str
    group: str
    rows: Sequence[int]
    resamples: int
    seed: int

    @property
    def bootstrap(self) -> Bootstrap:
        subjects = [self.measured.sentences[row].subject for row in self.rows]
        return make_bootstrap(subjects, self.resamples, self.seed)

    def scores(
        self, key: Key, baselines: Mapping[str, Mapping[str, Floats]]
    ) -> Iterable[GroundingScore]:
        bootstrap = self.bootstrap
        for metric in METRICS:
            for control, values in self._systems(key, metric, baselines).items():
                interval = score_interval(bootstrap, mean_of, _counts(values))
                signature = self._signature(key, metric, bootstrap)
                yield GroundingScore(
                    self.text, self.source, self.group, way_of(key), metric, control, interval,
                    signature,
                )  # fmt: skip

    def differences(
        self, key: Key, baselines: Mapping[str, Mapping[str, Floats]]
    ) -> Iterable[GroundingDifference]:
        bootstrap = self.bootstrap
        for metric in METRICS:
            systems = self._systems(key, metric, baselines)
            own = _counts(systems.pop("none"))
            for control, values in systems.items():
                interval = difference_interval(bootstrap, mean_of, own, _counts(values))
                yield GroundingDifference(
                    self.text, self.source, self.group, way_of(key), metric, control, interval,
                    len(self.rows),
                )  # fmt: skip

    def _systems(
        self, key: Key, metric: str, baselines: Mapping[str, Mapping[str, Floats]]
    ) -> dict[str, Floats]:
        """(n,) values of the model, of the exchanged image and of the baselines."""
        found = {c: self.measured.get(key, c, metric) for c in ("none", "shuffled")}
        found |= {name: metrics[metric] for name, metrics in baselines.items()}
        return {control: values[list(self.rows)] for control, values in found.items()}

    def _signature(self, key: Key, metric: str, bootstrap: Bootstrap) -> Signature:
        chosen = [self.measured.sentences[row] for row in self.rows]
        tolerance = f", maximum within {POINTING_TOLERANCE:.3f} of the side"
        return Signature(
            metric=f"grounding-{metric}[{way_of(key)}]",
            implementation="cxrflow" + (tolerance if metric == "pointing" else ""),
            version=VERSION,
            scale="0-1",
            level="sentence",
            section=self.text,
            studies=len({(one.source, one.study_id) for one in chosen}),
            subjects=bootstrap.subjects,
            examples=len(chosen),
            interval="bootstrap percentile 95%",
            resamples=bootstrap.resamples,
            seed=bootstrap.seed,
            unit="subject",
            empty_output="a map of zeros counts as the uniform one",
            cleaner="none",
            images=len({one.example_id for one in chosen}),
        )


def _counts(values: Floats) -> Floats:
    """(n, 2) for ``mean_of``; every sentence has its maps, or the artifact is not whole."""
    assert not np.isnan(values).any(), "a sentence without its map"
    return np.stack([values, np.ones_like(values)], axis=1)


def _score_row(one: GroundingScore) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("text", "source", "group", "method", "metric")},
        "control": one.control,
        **asdict(one.interval),
        "higher_is_better": True,
        "signature": one.signature.fields(),
    }


def _difference_row(one: GroundingDifference) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("text", "source", "group", "method", "metric")},
        "control": one.control,
        **asdict(one.difference),
        "excludes_zero": one.difference.excludes(0.0),
        "sentences": one.sentences,
    }


def nothing_grounded(reason: str, choice: Choice) -> Grounding:
    """A grounding without a sentence, and why."""
    return Grounding(choice, (), (), (), {"grounding": reason}, {})
