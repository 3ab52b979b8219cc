"""The page about a model's answers: ``report.html`` of an ability of kind vqa; it fetches nothing.

What a page may show is the caller's decision, as for reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from markupsafe import Markup

from evaluation.answer_scores import MAJORITY, AnswerScores
from evaluation.controls import MODEL
from evaluation.interval_text import difference_text, ends_text, interval_text, number_text
from evaluation.report import LossCurve
from evaluation.report_plots import loss_plot
from evaluation.report_views import SYSTEM_NAMES, funnel_groups
from evaluation.templating import png_uri, render_page
from evaluation.vqa import (
    ALL,
    BY_TYPE,
    LOWER_IS_BETTER,
    METRICS,
    VqaDifference,
    VqaScore,
    counts_of,
)
from sources.funnel import FunnelRow

NAMES: Final = {**SYSTEM_NAMES, MAJORITY: "Majority answer"}
HEADLINES: Final = ("accuracy", "closed-accuracy")
"""What says whether the model looks at its films."""
Row = dict[str, Any]


@dataclass(frozen=True)
class ShownQuestion:
    """One question on the page: its films as PNG, and what every system said, right or wrong."""

    source: str
    study_id: str
    is_replica: bool
    films_png: tuple[bytes, ...]
    question: str
    reference: str
    said: Mapping[str, str]
    right: Mapping[str, bool]


@dataclass(frozen=True)
class AnswersPage:
    """What the page shows.

    ``funnel`` says what became of the set's questions; ``right`` and ``wrong`` are questions that
    the model answered so.
    """

    recipe: str
    scale: str
    ability: str
    made_on: str
    fingerprints: Mapping[str, str]
    funnel: Sequence[FunnelRow]
    losses: Mapping[str, LossCurve]
    scores: AnswerScores
    replicas: frozenset[str]
    right: Sequence[ShownQuestion] = ()
    wrong: Sequence[ShownQuestion] = ()


def choose_questions(scores: AnswerScores, count: int) -> tuple[list[str], list[str]]:
    """Ids of as many questions answered rightly and wrongly, each about another film.

    Drawn by a hash of their ids: an answer is right or wrong, and none is the best.
    """
    if MODEL not in scores.said:
        return [], []
    marks = counts_of(scores.asked, scores.said[MODEL])["accuracy"][:, 0]
    drawn = sorted(range(len(scores.asked)), key=lambda place: _drawn(scores.asked.ids[place]))
    chosen: dict[bool, list[str]] = {True: [], False: []}
    seen: set[str] = set()
    for place in drawn:
        image, group = scores.asked.images[place], chosen[bool(marks[place])]
        if image not in seen and len(group) < count:
            seen.add(image)
            group.append(scores.asked.ids[place])
    return chosen[True], chosen[False]


def _drawn(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


def render_answers(page: AnswersPage) -> str:
    """The page as HTML; every text of the data is escaped."""
    scores = page.scores
    return render_page(
        "answers.html.j2",
        page=page,
        names=NAMES,
        systems=list(scores.said),
        controls=[name for name in scores.said if name != MODEL],
        images=len(set(scores.asked.images)),
        closed=sum(scores.asked.closed),
        verdicts=verdicts(scores),
        rows=[row for metric in METRICS if (row := metric_row(scores, metric)) is not None],
        type_metrics=BY_TYPE,
        types=type_table(scores),
        type_rows={metric: type_rows(scores, metric) for metric in BY_TYPE},
        signatures=[
            (score.metric, str(score.signature))
            for score in scores.scores
            if (score.system, score.group) == (MODEL, ALL)
        ],
        funnel=funnel_groups(page.funnel),
        loss_plot=Markup(loss_plot(page.losses)) if page.losses else None,
        right=[_card(shown) for shown in page.right],
        wrong=[_card(shown) for shown in page.wrong],
    )


def verdicts(scores: AnswerScores) -> list[Row]:
    """Accuracy and closed accuracy against every control."""
    value = {
        (score.system, score.metric): number_text(score.interval.value)
        for score in scores.scores
        if score.group == ALL
    }
    return [
        {
            "metric": item.metric,
            "control": NAMES[item.control],
            "model": value[MODEL, item.metric],
            "other": value[item.control, item.metric],
            "gain": number_text(item.difference.value, signed=True),
            "span": ends_text(item.difference, signed=True),
            "beats": item.difference.better(higher_is_better=True) is True,
            "loses": item.difference.better(higher_is_better=True) is False,
        }
        for metric in HEADLINES
        for item in scores.differences
        if item.group == ALL and item.metric == metric and item.difference.value is not None
    ]


def metric_row(scores: AnswerScores, metric: str, group: str = ALL) -> Row | None:
    """One metric of every system over one group, and the model's differences; None where nothing
    counts."""
    own = {
        score.system: score
        for score in scores.scores
        if (score.metric, score.group) == (metric, group)
    }
    if MODEL not in own or not own[MODEL].questions:
        return None
    gaps = {
        item.control: item
        for item in scores.differences
        if (item.metric, item.group) == (metric, group)
    }
    return {
        "metric": metric,
        "questions": own[MODEL].questions,
        "cells": {name: interval_text(score.interval) for name, score in own.items()},
        "gains": {name: _gain(gap) for name, gap in gaps.items()},
    }


def _gain(gap: VqaDifference) -> Row:
    upward = gap.metric not in LOWER_IS_BETTER
    return {
        "text": difference_text(gap.difference),
        "better": gap.difference.better(upward) is True,
        "worse": gap.difference.better(upward) is False,
    }


def type_rows(scores: AnswerScores, metric: str) -> list[Row]:
    """One metric by question type, the commonest first; a type that it counts nothing of has no
    row."""
    names = {score.group for score in scores.scores} - {ALL}
    rows = [
        {**row, "type": name}
        for name in sorted(names)
        if (row := metric_row(scores, metric, name)) is not None
    ]
    return sorted(rows, key=lambda row: -row["questions"])


def type_table(scores: AnswerScores) -> list[Row]:
    """Every metric of BY_TYPE of the model, a row for each type; what cannot be told says why."""
    own = {(one.group, one.metric): one for one in scores.scores if one.system == MODEL}
    return [
        {
            "type": row["type"],
            "questions": row["questions"],
            "closed": own[row["type"], "closed-accuracy"].questions,
            "cells": [_told(own[row["type"], metric]) for metric in BY_TYPE],
        }
        for row in type_rows(scores, "accuracy")
    ]


def _told(score: VqaScore) -> str:
    if not score.questions:
        return f"none {score.metric.partition('-')[0]}"
    text = interval_text(score.interval)
    return text if score.interval.low is not None else f"{text} too few films for an interval"


def _card(shown: ShownQuestion) -> Row:
    return {"shown": shown, "films": [png_uri(film) for film in shown.films_png]}
