"""The page about one evaluated model: ``report.html``, one file that fetches nothing.

What a page may show is the caller's decision: text and pictures of a gated source appear only where
the caller passes them, and each example says whether its source is a synthetic replica.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from markupsafe import Markup

from evaluation.report_blocks import shown_blocks
from evaluation.report_plots import SYSTEMS, loss_plot, score_plot
from evaluation.report_slices import slice_table
from evaluation.report_views import (
    SYSTEM_NAMES,
    control_verdicts,
    disagreement_rows,
    funnel_groups,
    kind_rows,
    label_rows,
    score_rows,
    shown_card,
    signature_rows,
)
from evaluation.scores import Scores
from evaluation.slices import Slices
from evaluation.templating import render_page
from evaluation.unavailable import by_reason
from sources.funnel import FunnelRow

LossCurve = Sequence[tuple[int, float]]
"""(step, loss) pairs of one training stage, in order."""


@dataclass(frozen=True)
class ShownExample:
    """One prediction on the page.

    Args:
        is_replica: the source is a synthetic stand-in, no person's data.
        image_png: the image that the model saw, as PNG, or None where it may not be shown.
        reference, prediction: None where the text may not be shown.
        significant_errors: the judge's count, or None where it did not judge.
    """

    source: str
    study_id: str
    view: str
    is_replica: bool
    image_png: bytes | None
    reference: str | None
    prediction: str | None
    rule14_f1: float
    significant_errors: int | None


@dataclass(frozen=True)
class ReportPage:
    """Everything on the page.

    Args:
        made_on: a date for the reader, as text.
        fingerprints: what made the model, by name (git commit, artifacts, model version).
        losses: by stage, in the order of training.
        kept: by stage, which step's weights it has kept and why, as text.
        replicas: names of the sources that are synthetic stand-ins.
    """

    recipe: str
    scale: str
    made_on: str
    fingerprints: Mapping[str, str]
    funnel: Sequence[FunnelRow]
    losses: Mapping[str, LossCurve]
    scores: Scores
    slices: Slices | None = None
    best: Sequence[ShownExample] = ()
    worst: Sequence[ShownExample] = ()
    replicas: frozenset[str] = frozenset()
    kept: Mapping[str, str] = field(default_factory=dict)


def choose_examples(examples: pa.Table, count: int) -> tuple[list[str], list[str]]:
    """Ids of the model's best and worst examples, best first and worst first, none in both.

    Fewer significant errors, then a higher rule14 F1, then a higher ROUGE-L are better. Of equals,
    those whose reference has findings come first, since a normal chest shows little. Where a judge
    judged any, those that it did not judge take no part: no count is not a count of none.
    """
    own = [row for row in examples.to_pylist() if row["control"] == "none"]
    rows = [row for row in own if row["significant_errors"] is not None] or own
    positives = {
        row["example_id"]: sum(
            label["value"] == "positive" and label["observation"] != "No Finding"
            for label in row["reference_labels"]
        )
        for row in rows
    }

    def quality(row: dict[str, float | int | str | None]) -> tuple[float, float, bool, float]:
        errors = row["significant_errors"]
        has_findings = positives[str(row["example_id"])] > 0
        f1, overlap = float(row["rule14_f1"] or 0), float(row["rouge_l"] or 0)
        return (-float(errors or 0), f1, has_findings, overlap)

    ranked = sorted(rows, key=quality, reverse=True)
    best = ranked[: min(count, len(ranked) // 2)]
    worst = ranked[::-1][: min(count, len(ranked) - len(best))]
    return [row["example_id"] for row in best], [row["example_id"] for row in worst]


def render_report(page: ReportPage) -> str:
    """The page as HTML; every text of the data is escaped, and nothing is loaded from outside."""
    scores = page.scores
    return render_page(
        "report.html.j2",
        page=page,
        names=SYSTEM_NAMES,
        drawn=SYSTEMS,
        scores=scores,
        verdicts=control_verdicts(scores),
        funnel=funnel_groups(page.funnel),
        loss_plot=Markup(loss_plot(page.losses)) if page.losses else None,
        score_plot=Markup(score_plot(scores)),
        rows=score_rows(scores),
        blocks=shown_blocks(scores.blocks),
        signatures=signature_rows(scores),
        kinds=kind_rows(scores),
        disagreements=disagreement_rows(scores),
        slices=slice_table(page.slices),
        label_tables=[
            (labeler, label_rows(labels))
            for labeler, labels in (("rule14", scores.labels), ("CheXbert", scores.chexbert_labels))
            if labels
        ],
        absent=by_reason(scores.unavailable),
        best=[shown_card(example) for example in page.best],
        worst=[shown_card(example) for example in page.worst],
    )
