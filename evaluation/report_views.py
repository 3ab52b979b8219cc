"""What the page's tables and cards show, as rows of ready text; the template only lays them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.board import Difference, Score
from evaluation.clinical import LabelScore
from evaluation.controls import MODEL, SOME_FILMS
from evaluation.interval_text import ends_text, number_text
from evaluation.judged import CATEGORIES
from evaluation.labeler import OTHER, Mention, find_mentions, label_report, squeeze
from evaluation.scores import Scores
from evaluation.statistics import Interval
from evaluation.templating import png_uri
from sources.funnel import FunnelRow
from sources.record import LabelValue

if TYPE_CHECKING:
    from evaluation.report import ShownExample

SYSTEM_NAMES = {
    MODEL: "Model",
    "shuffled": "Another study's image",
    "blank": "Blank image",
    "without-first": "First film black",
    "first-alone": "First film alone",
}
HEADLINES = ("rule14-micro-F1", "]-significant-errors")
"""Ends of the names of the two measures that say whether the model reads its images."""


@dataclass(frozen=True)
class Cell:
    """One system's value of a metric; ``span`` is its interval."""

    value: str
    span: str


def cell_of(interval: Interval, scale: str = "0-1", *, signed: bool = False) -> Cell:
    """Both texts of an interval on that scale; a difference is ``signed``."""
    value = number_text(interval.value, scale, signed=signed)
    return Cell(value, ends_text(interval, scale, signed=signed))


@dataclass(frozen=True)
class ScoreRow:
    """One metric; ``cells`` by control, ``gains`` are the model's differences by control."""

    metric: str
    scale: str
    direction: str
    cells: dict[str, Cell]
    gains: dict[str, Cell]
    beats: dict[str, bool]
    loses: dict[str, bool]


def score_rows(scores: Scores) -> list[ScoreRow]:
    """One row per metric of the model, but for details."""
    own = [score for score in scores.scores if score.control == MODEL and not score.is_detail]
    return [_score_row(scores, score) for score in own]


def _score_row(scores: Scores, own: Score) -> ScoreRow:
    scale = own.signature.scale
    alike = [score for score in scores.scores if score.metric == own.metric]
    gains = [item for item in scores.differences if item.metric == own.metric]
    return ScoreRow(
        own.metric,
        scale,
        "higher is better" if own.higher_is_better else "lower is better",
        {score.control: cell_of(score.interval, scale) for score in alike},
        {item.control: cell_of(item.difference, scale, signed=True) for item in gains},
        {item.control: item.beats for item in gains},
        {item.control: item.loses for item in gains},
    )


def signature_rows(scores: Scores) -> list[tuple[str, str]]:
    """(metric, signature) of the model's scores that any table of the page shows."""
    in_blocks = {row.metric for table in scores.blocks for row in table.rows}
    own = [score for score in scores.scores if score.control == MODEL]
    shown = [score for score in own if not score.is_detail or score.metric in in_blocks]
    return [(score.metric, str(score.signature)) for score in shown]


@dataclass(frozen=True)
class KindRow:
    """One kind of error of one judge: mean per report by control, significant and not."""

    judge: str
    kind: str
    significant: dict[str, str]
    insignificant: dict[str, str]


def kind_rows(scores: Scores) -> list[KindRow]:
    """Errors by kind, for every judge."""
    judges = sorted({s.signature.judge for s in scores.scores if s.signature.judge})
    means = {
        (s.metric, s.control): number_text(s.interval.value) for s in scores.scores if s.is_detail
    }

    def of(judge: str, tier: str, kind: str) -> dict[str, str]:
        name = f"chexprompt[{judge}]-{tier}-{kind.replace(' ', '-')}"
        return {control: means.get((name, control), "–") for control in scores.systems}

    return [
        KindRow(
            judge,
            kind,
            of(judge, "significant", kind),
            of(judge, "insignificant", kind),
        )
        for judge in judges
        for kind in CATEGORIES
    ]


@dataclass(frozen=True)
class DisagreementRow:
    """Two judges on one system's texts; four cells as the page heads them."""

    judges: str
    control: str
    pairs: int
    cells: list[Cell]


def disagreement_rows(scores: Scores) -> list[DisagreementRow]:
    """Every two judges, system by system."""
    return [
        DisagreementRow(
            f"{item.one} and {item.other}",
            item.control,
            item.pairs,
            [
                cell_of(interval)
                for interval in (
                    item.mean_absolute_difference,
                    item.significant_difference,
                    item.free_disagreement,
                    item.tau,
                )
            ],
        )
        for item in scores.disagreements
    ]


@dataclass(frozen=True)
class Verdict:
    """Whether the model beats one control on one measure, or loses to it, in words."""

    metric: str
    control: str
    beats: bool
    loses: bool
    model: str
    other: str
    gain: str
    span: str
    ratio: str


def control_verdicts(scores: Scores) -> list[Verdict]:
    """The two headline measures against every control."""
    chosen = [
        item for ending in HEADLINES for item in scores.differences if item.metric.endswith(ending)
    ]
    return [_verdict(scores, item) for item in chosen]


def _verdict(scores: Scores, item: Difference) -> Verdict:
    own = scores.score(item.metric).interval.value
    other = scores.score(item.metric, item.control).interval.value
    if item.control in SOME_FILMS and other is not None and item.difference.value is not None:
        own = other + item.difference.value  # on the studies of several films
    return Verdict(
        item.metric,
        SYSTEM_NAMES[item.control],
        item.beats,
        item.loses,
        number_text(own),
        number_text(other),
        number_text(item.difference.value, signed=True),
        ends_text(item.difference, signed=True),
        "–" if item.ratio.value is None else f"{item.ratio.value:.2f}",
    )


@dataclass(frozen=True)
class FunnelLine:
    """One stage of a source; shares are of what came in, 0-100."""

    row: FunnelRow
    kept_percent: float
    reasons: list[tuple[str, int]]


def funnel_groups(rows: Sequence[FunnelRow]) -> dict[str, list[FunnelLine]]:
    """Lines by source, in the order given; reasons with most rows first."""
    groups: dict[str, list[FunnelLine]] = {}
    for row in rows:
        percent = 100.0 * row.kept / row.rows_in if row.rows_in else 0.0
        reasons = sorted(row.rejected, key=lambda pair: (-pair[1], pair[0]))
        groups.setdefault(row.source, []).append(FunnelLine(row, percent, reasons))
    return groups


@dataclass(frozen=True)
class LabelRow:
    """One observation: the model's scores, and the controls' F1 by name."""

    own: LabelScore
    others: dict[str, float]


def label_rows(labels: Mapping[str, Sequence[LabelScore]]) -> list[LabelRow]:
    """One row per observation of the labels by control, most support first."""
    others = {name: rows for name, rows in labels.items() if name != MODEL}
    rows = [
        LabelRow(own, {name: scored[place].f1 for name, scored in others.items()})
        for place, own in enumerate(labels.get(MODEL, ()))
    ]
    return sorted(rows, key=lambda row: -row.own.support)


@dataclass(frozen=True)
class Segment:
    """A run of text; ``kind`` is ``agrees``, ``missed``, ``false`` or empty, ``note`` says what."""

    text: str
    kind: str = ""
    note: str = ""


@dataclass(frozen=True)
class Card:
    """One shown example, marked up."""

    example: ShownExample
    image: str | None
    reference: list[Segment] | None
    prediction: list[Segment] | None


def shown_card(example: ShownExample) -> Card:
    """The example with its picture as a data address and its findings marked."""
    image = None
    if example.image_png is not None:
        image = png_uri(example.image_png)
    if example.reference is None or example.prediction is None:
        return Card(example, image, None, None)
    reference, prediction = mark_findings(example.reference, example.prediction)
    return Card(example, image, reference, prediction)


def mark_findings(reference: str, prediction: str) -> tuple[list[Segment], list[Segment]]:
    """Both texts cut where rule14 reads a finding: agreed, missed, or falsely told.

    A finding is an observation that a text asserts as positive. In the prediction a denial of what
    the reference asserts is marked as missed too.
    """
    true, told = _positives(reference), _positives(prediction)

    def in_reference(mention: Mention) -> tuple[str, str]:
        if mention.value is not LabelValue.POSITIVE:
            return "", ""
        return ("agrees", "agrees") if mention.observation in told else ("missed", "missed")

    def in_prediction(mention: Mention) -> tuple[str, str]:
        if mention.value is LabelValue.POSITIVE:
            return ("agrees", "agrees") if mention.observation in true else ("false", "false")
        return ("missed", "denied") if mention.observation in true - told else ("", "")

    return _segments(reference, in_reference), _segments(prediction, in_prediction)


def _positives(text: str) -> set[str]:
    return {name for name, value in label_report(text).items() if value is LabelValue.POSITIVE}


def _segments(text: str, judge: Callable[[Mention], tuple[str, str]]) -> list[Segment]:
    squeezed, segments, done = squeeze(text), [], 0
    for mention in find_mentions(text):
        kind, word = judge(mention)
        if not kind or mention.observation == OTHER or mention.start < done:
            continue
        segments.append(Segment(squeezed[done : mention.start]))
        note = f"{word}: {mention.observation}"
        segments.append(Segment(squeezed[mention.start : mention.end], kind, note))
        done = mention.end
    return [segment for segment in [*segments, Segment(squeezed[done:])] if segment.text]
