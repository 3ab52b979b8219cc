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
from evaluation.report_plots import GRID, INK, MUTED, STYLE, SYSTEMS, WIDTH_INCHES, inline_svg
from evaluation.templating import render_page

_LEVEL = 0.05
"""Holm-corrected p-values below are set in bold; the usual level."""


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
    lines += [f"\n{row.name} is not compared: {row.apart}." for row in found.rows if row.apart]
    return "\n".join([*lines, "", "Not a medical device: for research and development only.", ""])


def _cell_text(text: str) -> str:
    """A text of the matrix as it can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _about(found: Ablation) -> str:
    return (
        f"{found.examples:,} test examples of {found.subjects:,} subjects. A difference is the "
        "variant's score less the baseline's, with the 95 % interval of a bootstrap over subjects, "
        f"paired by example; p is two-sided, of {found.resamples:,} random exchanges, and "
        "corrected by Holm over all variants of its metric. Training is the time of all stages, "
        "also of those that are shared with the baseline; examples are those of the last stage."
    )


def _titles(found: Ablation) -> list[str]:
    return [
        title for metric in found.metrics for title in (f"`{metric}`", "difference", "p (Holm)")
    ]


def _cells(found: Ablation, row: Row) -> list[str]:
    """Three texts for each metric."""
    texts = []
    for metric in found.metrics:
        cell = row.cell(metric)
        texts += ["–", "–", "–"] if cell is None else cell_texts(cell)
    return texts


def cell_texts(cell: Cell) -> list[str]:
    """Value, difference with its interval, and corrected p-value."""
    told = number_text(cell.value.value)
    if cell.difference is None or cell.p_holm is None:
        return [told, "–", "–"]
    p = f"{cell.p_holm:.3f}"
    return [
        told,
        difference_text(cell.difference.difference),
        f"**{p}**" if cell.p_holm < _LEVEL else p,
    ]


def _training(row: Row) -> str:
    """What it took: ``4.2 min, 1,204 examples``, those of the last stage."""
    if row.trained_examples is None:
        return _minutes(row.seconds)
    return f"{_minutes(row.seconds)}, {row.trained_examples:,} examples"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def ablation_plot(found: Ablation) -> str:
    """Differences from the baseline, one panel for each metric; empty where nothing was paired."""
    rows = [row for row in found.rows if any(cell.difference for cell in row.cells)]
    if not rows:
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 1.1 + 0.34 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(found.metrics), squeeze=False, sharey=True).ravel()
        for panel, metric in zip(panels, found.metrics, strict=True):
            _draw_panel(panel, metric, rows)
        return inline_svg(figure, "Differences of each variant from the baseline with intervals")


def _draw_panel(panel: Axes, metric: str, rows: Sequence[Row]) -> None:
    for line, row in enumerate(rows):
        cell = row.cell(metric)
        if cell is not None and cell.difference is not None:
            _draw_difference(panel, cell, line)
    panel.axvline(0.0, color=INK, linewidth=1.0)
    panel.set_yticks(range(len(rows)), [row.name for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_title(metric.partition("[")[0], loc="left", fontsize=11, fontweight="bold")
    panel.set_xlabel("less the baseline", color=MUTED)
    panel.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.6)
    panel.tick_params(length=0)
    panel.spines["left"].set_visible(False)


def _draw_difference(panel: Axes, cell: Cell, line: int) -> None:
    """Filled where the interval excludes zero, hollow where it does not."""
    assert cell.difference is not None
    interval, telling = cell.difference.difference, cell.difference.better is not None
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
        value, difference, p = ("–", "–", "–") if cell is None else cell_texts(cell)
        better = None if cell is None or cell.difference is None else cell.difference.better
        cells.append(
            {
                "value": value,
                "difference": difference,
                "p": p.strip("*"),
                "verdict": {True: "better", False: "worse", None: ""}[better],
            }
        )
    return {"row": row, "cells": cells, "training": _training(row)}
