"""Scores of answers to questions about images, by question type, beside a majority answer.

Intervals draw images with all their questions, for questions about one image are not independent.
Shapes: Q questions in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from evaluation.answers import (
    is_correct,
    normal_answer,
    parts_of,
    set_f1,
    things_of,
    token_overlap,
    yes_or_no,
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

VERSION: Final = "5"
"""2: an answer that lists several things is right in any order. 3: a publisher's answers are things
as they are, and a prediction is split by them first. 4: an article answers no other, and "yes/no"
is neither. 5: "Yes. No effusion" is a yes."""
ALL: Final = "all"
"""The name of the group that holds every question."""


@dataclass(frozen=True)
class Questions:
    """Q questions with their references.

    ``closed`` says which have a short list of answers, as the publisher tells or a yes-or-no
    reference shows. ``images`` names what each is asked about; ``types`` may be empty text.
    ``answers`` has each reference's parts as the publisher tells them; a set of several, whose
    order says nothing. Where it tells none the reference is the one part.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    references: tuple[str, ...]
    types: tuple[str, ...]
    closed: tuple[bool, ...]
    images: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """(Q,) the parts of each reference, one at least."""
        told = self.answers or ((),) * len(self)
        return tuple(
            own or (reference,) for own, reference in zip(told, self.references, strict=True)
        )

    @property
    def known(self) -> frozenset[str]:
        """Every part in normal words. Of these questions alone: two models that were trained on
        other questions are read alike."""
        return parts_of(part for parts in self.parts for part in parts)


@dataclass(frozen=True)
class VqaScore:
    """One number of one system on one group of questions."""

    system: str
    group: str
    metric: str
    interval: Interval
    questions: int
    signature: Signature


@dataclass(frozen=True)
class VqaDifference:
    """The model less a control, paired by question."""

    control: str
    group: str
    metric: str
    difference: Interval


LOWER_IS_BETTER: Final = frozenset({"unparsed-share"})
METRICS: Final = (
    "accuracy",
    "closed-accuracy",
    "open-exact-match",
    "open-token-F1",
    "open-token-recall",
    "set-F1",
    "unparsed-share",
)
BY_TYPE: Final = ("accuracy", "closed-accuracy", "open-exact-match", "open-token-F1", "set-F1")
"""What is told of each type of question too; the others explain these."""


def counts_of(questions: Questions, answers: Sequence[str]) -> Mapping[str, Floats]:
    """By metric (Q, 2): the value of each question, and whether it counts."""
    rows = {metric: np.zeros((len(questions), 2)) for metric in METRICS}
    known, parts = questions.known, questions.parts
    for number, (said, wanted) in enumerate(zip(answers, questions.references, strict=True)):
        closed = questions.closed[number]
        right = float(_is_right(said, wanted, parts[number], known))
        rows["accuracy"][number] = right, 1
        rows["set-F1"][number] = set_f1(said, parts[number], known), 1
        if closed:
            rows["closed-accuracy"][number] = right, 1
            if normal_answer(wanted) in ("yes", "no"):
                rows["unparsed-share"][number] = float(yes_or_no(said) is None), 1
        else:
            overlap, recall = token_overlap(said, wanted)
            rows["open-exact-match"][number] = right, 1
            rows["open-token-F1"][number] = overlap, 1
            rows["open-token-recall"][number] = recall, 1
    return rows


def _is_right(said: str, wanted: str, parts: Sequence[str], known: Container[str]) -> bool:
    """A set of several has its parts in any order; any other answer its own words."""
    if len(parts) > 1:
        return things_of(said, known) == parts_of(parts)
    return is_correct(said, wanted)


def majority_answers(train: Questions, asked: Questions) -> tuple[str, ...]:
    """For each question the commonest training answer to the same words, else of its type and
    kind, else of all: what one reaches who never looks. Ties go to the first in the alphabet."""
    by_text: dict[str, Counter[str]] = {}
    by_type: dict[tuple[str, bool], Counter[str]] = {}
    for number in range(len(train)):
        answer = normal_answer(train.references[number])
        by_text.setdefault(normal_answer(train.texts[number]), Counter())[answer] += 1
        kind = (train.types[number], train.closed[number])
        by_type.setdefault(kind, Counter())[answer] += 1
    every: Counter[str] = sum(by_type.values(), Counter())
    return tuple(
        _commonest(
            by_text.get(normal_answer(asked.texts[number]))
            or by_type.get((asked.types[number], asked.closed[number]))
            or every
        )
        for number in range(len(asked))
    )


def _commonest(answers: Counter[str]) -> str:
    return min(answers, key=lambda answer: (-answers[answer], answer)) if answers else ""


def score_answers(
    questions: Questions,
    answers: Mapping[str, Sequence[str]],
    model: str,
    resamples: int,
    seed: int,
    max_new_tokens: int | None = None,
) -> tuple[list[VqaScore], list[VqaDifference]]:
    """All metrics of every system over all questions, and those of BY_TYPE by question type.

    A type without a question that a metric counts (no closed one, no open one) has the metric all
    the same, of 0 questions and without a value; one of few films has a value and no interval.

    Args:
        answers: by system, ``model`` among them; the others are its controls.
        max_new_tokens: where answers were cut, None for those that others wrote.
    """
    bootstrap = make_bootstrap(questions.images, resamples, seed)
    counts = {system: counts_of(questions, said) for system, said in answers.items()}
    scores, differences = [], []
    for group, chosen in _groups(questions).items():
        metrics = METRICS if group == ALL else BY_TYPE
        for metric in metrics:
            own = {name: _within(each[metric], chosen) for name, each in counts.items()}
            signature = _signature(metric, group, questions, bootstrap, max_new_tokens)
            for name, rows in own.items():
                support = int(rows[:, 1].sum())
                interval = score_interval(bootstrap, mean_of, rows)
                told = replace(signature, examples=support)
                scores.append(VqaScore(name, group, metric, interval, support, told))
            for name in own.keys() - {model}:
                gap = difference_interval(bootstrap, mean_of, own[model], own[name])
                differences.append(VqaDifference(name, group, metric, gap))
    order = {name: place for place, name in enumerate(answers)}
    differences.sort(key=lambda one: (one.group != ALL, one.group, order[one.control]))
    return scores, differences


def _groups(questions: Questions) -> dict[str, Floats]:
    """(Q,) ones where a question belongs to the group: all, then each type by name."""
    types = np.asarray(questions.types, dtype=str)
    found = {ALL: np.ones(len(questions))}
    for name in sorted({name for name in questions.types if name}):
        found[f"type {ALL}" if name == ALL else name] = (types == name).astype(np.float64)
    return found


def _within(rows: Floats, chosen: Floats) -> Floats:
    return np.asarray(rows * chosen[:, None], dtype=np.float64)


def _signature(
    metric: str,
    group: str,
    questions: Questions,
    bootstrap: Bootstrap,
    max_new_tokens: int | None,
) -> Signature:
    return Signature(
        metric=metric,
        implementation="cxrflow answers",
        version=VERSION,
        scale="0-1",
        level=f"mean over questions, {group}",
        section="answer",
        studies=bootstrap.subjects,
        subjects=bootstrap.subjects,
        examples=len(questions),
        interval="bootstrap percentile 95%",
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        unit="image with all its questions",
        empty_output="wrong",
        tokenizer="whole words",
        case="lower",
        cleaner="no articles; number words to ten as digits; NFKC",
        images=bootstrap.subjects,
        max_new_tokens=max_new_tokens,
    )


def score_rows(scores: Sequence[VqaScore]) -> list[dict[str, Any]]:
    """As JSON values, in the words of the scores of reports: ``control`` is the system."""
    return [
        {
            "metric": score.metric,
            "control": score.system,
            "group": score.group,
            **asdict(score.interval),
            "higher_is_better": score.metric not in LOWER_IS_BETTER,
            "questions": score.questions,
            "signature": score.signature.fields(),
        }
        for score in scores
    ]


def difference_rows(differences: Sequence[VqaDifference]) -> list[dict[str, Any]]:
    """As JSON values; ``beats`` says that all of the interval is on the better side of zero."""
    rows = []
    for item in differences:
        upward = item.metric not in LOWER_IS_BETTER
        better = item.difference.better(upward)
        rows.append(
            {
                "metric": item.metric,
                "control": item.control,
                "group": item.group,
                **asdict(item.difference),
                "beats": better is True,
                "loses": better is False,
                "higher_is_better": upward,
            }
        )
    return rows
