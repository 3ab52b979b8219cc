"""An ablation for readers: a table and a plot, as Markdown and as a page that fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.ablation import Ablation, Cell, Row
from evaluation.interval_text import difference_text, number_text
from evaluation.paired import LEVEL, rounds_needed
from evaluation.report_plots import (
    GRID,
    INK,
    MUTED,
    STYLE,
    SYSTEMS,
    WIDTH_INCHES,
    inline_svg,
    short_name,
)
from evaluation.templating import render_page


def as_markdown(found: Ablation) -> str:
    """The table, with what each variant asks and changes below it."""
    lines = [
        f"# Ablation {found.name}",
        "",
        _about(found),
        "",
        f"| variant | {' | '.join(_titles(found))} | training |",
        f"|---|{'---:|' * (len(_titles(found)) + 1)}",
    ]
    for row in found.rows:
        cells = " | ".join(_cells(found, row))
        lines.append(f"| {row.name} | {cells} | {_training(row)} |")
    lines += ["", "| variant | question | changes |", "|---|---|---|"]
    for row in found.rows:
        changes = "<br>".join(f"`{change}`" for change in row.overrides) or "nothing"
        lines.append(f"| {row.name} | {_cell_text(row.question)} | {_cell_text(changes)} |")
    lines += [f"\n{line}" for row in found.rows for line in notes(row)]
    return "\n".join([*lines, "", "Not a medical device: for research and development only.", ""])


def notes(row: Row) -> list[str]:
    """Sentences on what the variant has no number or no comparison of."""
    lines = [f"{row.name} is not compared: {row.apart}."] if row.apart else []
    lines += [f"{row.name} {row.missing}."] if row.missing else []
    pairs = [cell.difference for cell in row.cells if cell.unavailable is None]
    return lines + [
        f"{row.name} is not compared in {pair.metric}: {pair.reason}."
        for pair in pairs
        if pair is not None and pair.reason is not None
    ]


def _cell_text(text: str) -> str:
    """A text of the matrix as it can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _about(found: Ablation) -> str:
    text = (
        f"{found.examples:,} test examples of {found.subjects:,} {found.unit}s. A difference is "
        "the variant's score less the baseline's, with the 95 % interval of a bootstrap over "
        f"{found.unit}s, paired by example; p is two-sided, of {found.resamples:,} random "
        "exchanges, and "
        "corrected by Holm over all variants of its metric. A variant is called better or worse "
        f"where p (Holm) is below {LEVEL:g} and the interval excludes zero: "
        f"{found.surviving} differences. Training is the time of all stages, also of those that "
        "are shared with the baseline; examples are those of the stage that is scored, GiB the "
        "most that a stage held, and an answer's seconds those of generating all over their number."
    )
    text += _yardstick(found)
    needed = rounds_needed(found.tests)
    if found.resamples >= needed:
        return text
    return f"{text} So few exchanges can tell nothing: set resamples to {needed} or more."


def _yardstick(found: Ablation) -> str:
    """How far another training of the baseline lies away, and what follows; empty without one."""
    if not found.yardsticks:
        return ""
    names = " and ".join(row.name for row in found.rows if row.again)
    told = ", ".join(f"{value:.3f} in {metric}" for metric, value in found.yardsticks.items())
    return (
        f" The baseline trained once more with another seed ({names}) lies {told} away: what lies "
        f"no farther is called neither, which leaves {found.telling} differences."
    )


def _titles(found: Ablation) -> list[str]:
    return [
        title for metric in found.metrics for title in (f"`{metric}`", "difference", "p (Holm)")
    ]


def _cells(found: Ablation, row: Row) -> list[str]:
    """Three texts for each metric."""
    cells = (row.cell(metric) for metric in found.metrics)
    return [text for cell in cells for text in cell_texts(cell)]


def cell_texts(cell: Cell | None) -> list[str]:
    """Value, difference with its interval, and corrected p-value, bold where a verdict is given."""
    if cell is None:
        return ["–", "–", "–"]
    if cell.unavailable is not None:
        return [f"unavailable: {_cell_text(cell.unavailable)}", "–", "–"]
    value = number_text(cell.value.value)
    if cell.difference is None or cell.p_holm is None:
        return [value, "–", "–"]
    p = f"{cell.p_holm:.3f}"
    difference = difference_text(cell.difference.difference)
    return [value, difference, p if cell.better is None else f"**{p}**"]


def _training(row: Row) -> str:
    """What it took: ``4.2 min, 1,204 examples, 1.3 GiB; 0.04 s an answer``; the examples are those
    of the stage that is scored, and what is not known is left out."""
    if row.seconds is None:
        return "–"
    told = [_minutes(row.seconds)]
    if row.trained_examples is not None:
        told.append(f"{row.trained_examples:,} examples")
    if row.memory_gib is not None:
        told.append(f"{row.memory_gib:.2f} GiB")
    answer = "" if row.answer_seconds is None else f"; {row.answer_seconds:.2g} s an answer"
    return ", ".join(told) + answer


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def ablation_plot(found: Ablation) -> str:
    """Differences from the baseline, one panel for each metric; empty where nothing was paired."""
    rows = [row for row in found.rows if any(_is_drawn(cell) for cell in row.cells)]
    drawn = {cell.metric for row in rows for cell in row.cells if _is_drawn(cell)}
    metrics = [metric for metric in found.metrics if metric in drawn]
    if not rows:
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 1.1 + 0.34 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True).ravel()
        for panel, metric, title in zip(panels, metrics, panel_titles(metrics), strict=True):
            _draw_panel(panel, metric, title, rows, found.yardsticks.get(metric))
        return inline_svg(figure, "Differences of each variant from the baseline with intervals")


def _is_drawn(cell: Cell) -> bool:
    return cell.difference is not None and cell.difference.difference.value is not None


def panel_titles(metrics: Sequence[str]) -> list[str]:
    """Short names; where several metrics share one, each with what its brackets tell."""
    short = [short_name(metric) for metric in metrics]
    inside = [metric.partition("[")[2].partition("]")[0] for metric in metrics]
    return [
        f"{name} ({told})" if told and short.count(name) > 1 else name
        for name, told in zip(short, inside, strict=True)
    ]


def _draw_panel(
    panel: Axes, metric: str, title: str, rows: Sequence[Row], near: float | None
) -> None:
    """``near`` is how far the baseline trained again lies away, and is shaded."""
    higher = True
    if near is not None:
        panel.axvspan(-near, near, color=GRID, alpha=0.35, linewidth=0)
    for line, row in enumerate(rows):
        cell = row.cell(metric)
        if cell is not None and _is_drawn(cell):
            _draw_difference(panel, cell, line)
            higher = bool(cell.higher_is_better)
    panel.axvline(0.0, color=INK, linewidth=1.0)
    panel.set_yticks(range(len(rows)), [row.name for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
    panel.set_xlabel(f"right is {'better' if higher else 'worse'}", color=MUTED)
    panel.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.6)
    panel.tick_params(length=0)
    panel.spines["left"].set_visible(False)


def _draw_difference(panel: Axes, cell: Cell, line: int) -> None:
    """Filled where neither chance, after correction, nor another training explains it."""
    assert cell.difference is not None
    interval, telling = cell.difference.difference, cell.better is not None
    colour = SYSTEMS["none"] if telling else SYSTEMS["blank"]
    if interval.value is None:
        return
    if interval.low is not None and interval.high is not None:
        panel.plot((interval.low, interval.high), (line, line), color=colour, linewidth=2)
    face = colour if telling else "none"
    panel.plot(
        interval.value, line, "o", markersize=7, markerfacecolor=face, markeredgecolor=colour
    )


def render_ablation(found: Ablation, made_on: str, replicas: Sequence[str]) -> str:
    """The page as HTML.

    Args:
        made_on: a date for the reader, as text.
        replicas: names of the sources that are synthetic stand-ins.
    """
    return render_page(
        "ablation.html.j2",
        found=found,
        about=_about(found),
        made_on=made_on,
        replicas=sorted(replicas),
        plot=Markup(ablation_plot(found)),  # our own drawing: its texts are escaped by matplotlib
        rows=[_shown_row(found, row) for row in found.rows],
    )


def _shown_row(found: Ablation, row: Row) -> dict[str, Any]:
    cells = []
    for metric in found.metrics:
        cell = row.cell(metric)
        value, difference, p = cell_texts(cell)
        verdict = {True: "better", False: "worse", None: ""}[cell.better if cell else None]
        shown = {"value": value, "difference": difference, "p": p.strip("*"), "verdict": verdict}
        cells.append(shown)
    return {"row": row, "cells": cells, "training": _training(row), "notes": notes(row)}
