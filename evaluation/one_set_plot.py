"""The plot of a comparison: a panel for each metric, a line for each model and its controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluation.ablation import Row
from evaluation.ablation_page import panel_titles
from evaluation.one_set import OneSet
from evaluation.report_plots import GRID, MUTED, STYLE, SYSTEMS, WIDTH_INCHES, inline_svg
from evaluation.statistics import Interval

PANELS: Final = 6
"""Our choice: two rows of three, which a screen shows whole."""
_COLUMNS: Final = 3
_LONGEST_TITLE: Final = 26
"""Characters of a title that fit over a panel; a longer one's brackets go to a second line."""
_MARKERS: Final = {"none": "o", "shuffled": "D", "blank": "s"}
_PLACES: Final = {"none": -0.18, "shuffled": 0.06, "blank": 0.24}
_NAMES: Final = {
    "none": "model",
    "shuffled": "shown another study's films",
    "blank": "shown blank films",
}
_FIRST: Final = (
    *("rule14-micro-F1", "CheXbert-micro-F1-14", "RadGraph-F1", "chexprompt", "BLEU-4"),
    *("ROUGE-L", "BERTScore", "lateral-only-F1", "rule14-macro-F1", "METEOR", "RaTEScore"),
)
"""How names of metrics begin that are drawn before others: findings, then errors, then words."""


def plotted(found: OneSet) -> list[str]:
    """The metrics that are drawn: those with a number, by what they tell of findings first."""
    known = [
        metric
        for metric in found.table.metrics
        if any(_value(row, metric) is not None for row in found.table.rows)
    ]
    ranked = sorted(known, key=lambda metric: (_place(metric), known.index(metric)))
    once = {_place(metric): metric for metric in reversed(ranked) if _place(metric) < len(_FIRST)}
    chosen = [once[place] for place in sorted(once)]
    return [*chosen, *(metric for metric in ranked if metric not in chosen)][:PANELS]


def _place(metric: str) -> int:
    found = [place for place, name in enumerate(_FIRST) if metric.startswith(name)]
    return found[0] if found else len(_FIRST)


def _value(row: Row, metric: str) -> float | None:
    cell = row.cell(metric)
    return None if cell is None else cell.value.value


def one_set_plot(found: OneSet) -> str:
    """Values with intervals as SVG; empty where no metric has a number."""
    metrics = plotted(found)
    if not metrics:
        return ""
    lines = -(-len(metrics) // _COLUMNS)
    height = lines * (0.9 + 0.42 * len(found.recipes)) + 0.4
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        columns = min(_COLUMNS, len(metrics))
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for panel, metric, title in zip(panels, metrics, panel_titles(metrics), strict=False):
            _draw(panel, found, metric, title)
        for panel in panels[len(metrics) :]:
            panel.set_visible(False)
        figure.legend(handles=_legend(found), loc="outside lower center", ncols=3, fontsize=9)
        return inline_svg(figure, "Scores of each model and of its image-blind controls")


def _legend(found: OneSet) -> list[Line2D]:
    drawn = ["none", *dict.fromkeys(each.control for each in found.controls)]
    return [
        Line2D([], [], color=SYSTEMS[name], marker=_MARKERS[name], linewidth=2, label=_NAMES[name])
        for name in drawn
    ]


def _draw(panel: Axes, found: OneSet, metric: str, title: str) -> None:
    higher = True
    for line, row in enumerate(found.table.rows):
        cell = row.cell(metric)
        if cell is not None and cell.value.value is not None:
            higher = bool(cell.higher_is_better)
            _draw_interval(panel, cell.value, line, "none")
        for each in found.of_control(row.name, metric):
            _draw_interval(panel, each.value, line, each.control)
    _finish(panel, found.recipes, title, "right is better" if higher else "left is better")


def _finish(panel: Axes, recipes: Sequence[str], title: str, side: str) -> None:
    panel.set_yticks(range(len(recipes)), list(recipes))
    panel.set_ylim(len(recipes) - 0.5, -0.5)
    if len(title) > _LONGEST_TITLE:
        title = title.replace(" (", "\n(", 1)
    panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
    panel.set_xlabel(side, color=MUTED, fontsize=9)
    panel.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.6)
    panel.tick_params(length=0)
    panel.spines["left"].set_visible(False)


def _draw_interval(panel: Axes, interval: Interval, line: int, control: str) -> None:
    if interval.value is None:
        return
    place, colour = line + _PLACES[control], SYSTEMS[control]
    if interval.low is not None and interval.high is not None:
        panel.plot((interval.low, interval.high), (place, place), color=colour, linewidth=2)
    panel.plot(interval.value, place, _MARKERS[control], color=colour, markersize=6)
