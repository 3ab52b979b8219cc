"""A comparison on one test set for readers: Markdown without texts, and a page with some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.ablation import Cell
from evaluation.ablation_page import notes
from evaluation.interval_text import (
    UNKNOWN,
    difference_text,
    ends_text,
    number_text,
)
from evaluation.one_set import Control, OneSet
from evaluation.one_set_plot import one_set_plot, plotted
from evaluation.paired import LEVEL, rounds_needed
from evaluation.report_views import Segment, mark_findings
from evaluation.templating import png_uri, render_page
from evaluation.unavailable import by_reason

__all__ = ["ShownStudy", "as_markdown", "one_set_plot", "render_one_set"]

NOT_MEDICAL = "Not a medical device: for research and development only."
CONTROL_NAMES = {"shuffled": "another study's films", "blank": "blank films"}


@dataclass(frozen=True)
class ShownStudy:
    """One of the common studies: its first film as the first model is shown it (PNG), the
    radiologist's text, and by recipe what its model wrote."""

    source: str
    study_id: str
    film_png: bytes
    reference: str
    written: Mapping[str, str]


def about(found: OneSet) -> str:
    """What the table is, in sentences."""
    table = found.table
    text = (
        f"{table.examples:,} test studies of {table.subjects:,} subjects, the {found.section} of "
        f"each written once by every model. A difference is a model's score less that of "
        f"{found.first}, with the 95 % interval of a bootstrap over subjects, paired by study; p "
        f"is two-sided, of {table.resamples:,} random exchanges, and corrected by Holm over the "
        f"models of its metric. A model is called better or worse where p (Holm) is below "
        f"{LEVEL:g} and the interval excludes zero: {table.telling} differences."
    )
    needed = rounds_needed(table.tests)
    if table.resamples >= needed:
        return text
    return f"{text} So few exchanges can tell nothing: set resamples to {needed} or more."


def left_out(found: OneSet) -> list[str]:
    """Which studies of the test set no model was asked about, and why."""
    reasons = {
        "study-learned-from": "{recipe} learned from the study",
        "subject-learned-from": "{recipe} learned from another study of the subject",
        "film-learned-from": "{recipe} learned from a copy of a film",
        "not-shown": "{recipe} can be shown no film of it",
    }
    return [
        f"{each.studies:,}: {reasons[each.reason].format(recipe=each.recipe)}"
        for each in found.left
    ]


def as_markdown(found: OneSet) -> str:
    """The tables; numbers alone, so that it may stand in MLflow."""
    titles = [
        title
        for recipe in found.recipes
        for title in ((recipe,) if recipe == found.first else (recipe, "difference", "p (Holm)"))
    ]
    lines = [
        f"# {' · '.join(found.recipes)} on {found.on}",
        "",
        f"{found.dataset}. {about(found)}",
        "",
        f"| metric | {' | '.join(titles)} |",
        f"|---|{'---:|' * len(titles)}",
    ]
    lines += [
        f"| `{metric}` | {' | '.join(_texts(found, metric))} |" for metric in found.table.metrics
    ]
    lines += ["", *_ways_table(found), "", *_controls_table(found)]
    studies = found.table.examples
    lines += ["", f"All may be asked about {studies:,} of {found.studies:,} test studies."]
    lines += [f"- {line}" for line in left_out(found)]
    lines += [f"\n{line}" for row in found.table.rows for line in notes(row)]
    return "\n".join([*lines, "", NOT_MEDICAL, ""])


def _texts(found: OneSet, metric: str) -> list[str]:
    texts: list[str] = []
    for row in found.table.rows:
        shown = _shown_cell(row.cell(metric), found.scales.get(metric, "0-1"))
        p = f"**{shown['p']}**" if shown["verdict"] else shown["p"]
        value = f"{shown['value']} {shown['ends']}".strip().replace("|", "\\|")
        texts += [value] if row.name == found.first else [value, shown["difference"], p]
    return texts


def _ways_table(found: OneSet) -> list[str]:
    keys = dict.fromkeys(key for way in found.ways.values() for key in way)
    lines = [f"| asked | {' | '.join(found.recipes)} |", f"|---|{'---|' * len(found.recipes)}"]
    for key in keys:
        told = " | ".join(found.ways[recipe].get(key, "–") for recipe in found.recipes)
        lines.append(f"| {key} | {told} |")
    took = " | ".join(_took(found, recipe) for recipe in found.recipes)
    return [*lines, f"| took | {took} |"]


def _took(found: OneSet, recipe: str) -> str:
    """``4.2 min of training, 1.3 GiB, 0.04 s an answer``; what is not known is left out."""
    row, told = found.row(recipe), []
    if row.seconds is not None:
        told.append(f"{row.seconds / 60:.1f} min of training")
    if row.memory_gib is not None:
        told.append(f"{row.memory_gib:.2f} GiB")
    if row.answer_seconds is not None:
        told.append(f"{row.answer_seconds:.2g} s an answer")
    return ", ".join(told) or "–"


def _controls_table(found: OneSet) -> list[str]:
    if not found.controls:
        return ["No image-blind control was asked."]
    lines = [
        "| model | metric | shown | score | model less this | verdict |",
        "|---|---|---|---:|---:|---|",
    ]
    headline = plotted(found)[:1]
    for each in (one for one in found.controls if one.metric in headline):
        shown, scale = CONTROL_NAMES[each.control], found.scales.get(each.metric, "0-1")
        value = number_text(each.value.value, scale)
        values = f"{value} | {difference_text(each.difference, scale)}"
        lines.append(f"| {each.recipe} | `{each.metric}` | {shown} | {values} | {verdict(each)} |")
    return lines


def verdict(control: Control) -> str:
    """Whether the model is better than one that cannot see the film."""
    words = {True: "reads its films", False: "worse than blind", None: "no better than blind"}
    return words[control.beats]


def render_one_set(
    found: OneSet, made_on: str, replicas: Sequence[str], studies: Sequence[ShownStudy]
) -> str:
    """The page as HTML; every text of the data is escaped, and nothing is loaded from outside.

    Args:
        made_on: what made it, as text.
        replicas: names of the test sources that are synthetic stand-ins.
        studies: some of those that were asked about.
    """
    keys = dict.fromkeys(key for way in found.ways.values() for key in way)
    return render_page(
        "one_set.html.j2",
        found=found,
        about=about(found),
        made_on=made_on,
        replicas=sorted(replicas),
        plot=Markup(one_set_plot(found)),  # our own drawing: its texts are escaped by matplotlib
        rows=[_shown_row(found, metric) for metric in found.table.metrics],
        ways=[(key, [found.ways[name].get(key, "–") for name in found.recipes]) for key in keys],
        took=[_took(found, recipe) for recipe in found.recipes],
        controls=_control_rows(found),
        control_names=CONTROL_NAMES,
        left=left_out(found),
        notes=[line for row in found.table.rows for line in notes(row)],
        absent=by_reason(found.unavailable),
        heads=_heads(found),
        cards=[_card(study) for study in studies],
    )


def _shown_row(found: OneSet, metric: str) -> dict[str, Any]:
    """A metric's line: for each model value, interval, difference, p and verdict."""
    scale = found.scales.get(metric, "0-1")
    cells = [_shown_cell(row.cell(metric), scale) for row in found.table.rows]
    higher = [cell["higher"] for cell in cells if cell["higher"] is not None]
    return {"metric": metric, "cells": cells, "higher": all(higher)}


def _shown_cell(cell: Cell | None, scale: str) -> dict[str, Any]:
    """Value, its interval, difference and p as text; a verdict only where chance is ruled out."""
    words = {True: "better", False: "worse", None: ""}
    shown = {"value": UNKNOWN, "ends": "", "difference": UNKNOWN, "p": UNKNOWN, "verdict": ""}
    if cell is None:
        return {**shown, "higher": None}
    if cell.unavailable is not None:
        value = f"unavailable: {cell.unavailable}"
        return {**shown, "value": value, "higher": cell.higher_is_better}
    shown["value"], shown["ends"] = (
        number_text(cell.value.value, scale),
        ends_text(cell.value, scale),
    )
    if cell.difference is not None and cell.p_holm is not None:
        shown["difference"] = difference_text(cell.difference.difference, scale)
        shown["p"], shown["verdict"] = f"{cell.p_holm:.3f}", words[cell.better]
    return {**shown, "higher": cell.higher_is_better}


def _heads(found: OneSet) -> list[dict[str, Any]]:
    """Each model in short: the first drawn metric, how often it is told from the first model, and
    whether it beats all of its controls there."""
    metric = (plotted(found) or [""])[0]
    scale = found.scales.get(metric, "0-1")
    heads = []
    for row in found.table.rows:
        verdicts = [cell.better for cell in row.cells]
        controls = found.of_control(row.name, metric)
        heads.append(
            {
                "recipe": row.name,
                "metric": metric,
                **_shown_cell(row.cell(metric), scale),
                "better": verdicts.count(True),
                "worse": verdicts.count(False),
                "reads": bool(controls) and all(each.beats is True for each in controls),
                "asked": bool(controls),
            }
        )
    return heads


def _control_rows(found: OneSet) -> list[dict[str, Any]]:
    """By metric and control the cells of every model, in the models' order, of the drawn metrics:
    the document has all."""
    drawn = plotted(found)
    known = {(each.metric, each.control): None for each in found.controls if each.metric in drawn}
    places = sorted(known, key=lambda place: drawn.index(place[0]))
    held = {(each.metric, each.control, each.recipe): each for each in found.controls}
    rows = []
    for metric, control in places:
        cells = [held.get((metric, control, recipe)) for recipe in found.recipes]
        scale = found.scales.get(metric, "0-1")
        rows.append(
            {
                "metric": metric,
                "control": control,
                "cells": [
                    None
                    if each is None
                    else {
                        "value": number_text(each.value.value, scale),
                        "difference": difference_text(each.difference, scale),
                        "verdict": verdict(each),
                        "beats": each.beats,
                    }
                    for each in cells
                ],
            }
        )
    return rows


def _card(study: ShownStudy) -> dict[str, Any]:
    marked: dict[str, list[Segment]] = {
        recipe: mark_findings(study.reference, text)[1] for recipe, text in study.written.items()
    }
    return {"study": study, "image": png_uri(study.film_png), "written": marked}
