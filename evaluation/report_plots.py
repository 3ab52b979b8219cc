"""Figures of the page as inline SVG whose colours are the page's own, in light and in dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.figures import style, svg_text
from evaluation.scores import Score, Scores
from evaluation.statistics import Floats

INK, MUTED, GRID = "#010101", "#020202", "#030303"
SYSTEMS = {"none": "#040404", "shuffled": "#050505", "blank": "#060606"}
_MARKERS = {"none": "o", "shuffled": "D", "blank": "s"}
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    SYSTEMS["none"]: "--model",
    SYSTEMS["shuffled"]: "--shuffled",
    SYSTEMS["blank"]: "--blank",
}
"""Stand-in colours that become the page's CSS variables once drawn."""

STYLE = style(INK, MUTED, GRID) | {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}
_WIDEST, _COLUMNS = 4, 3
"""Stages in one row up to the former number; of more, so many in each row."""
WIDTH_INCHES = 10.0


def loss_plot(losses: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """One panel per stage: loss against optimizer step, with a running median where it is long."""
    columns = len(losses) if len(losses) <= _WIDEST else _COLUMNS
    rows = -(-len(losses) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 2.5 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (stage, curve) in zip(panels, losses.items(), strict=False):
            _draw_curve(panel, stage, curve)
        for panel in panels[len(losses) :]:
            panel.set_visible(False)
        return inline_svg(figure, "Training loss of each stage against optimizer steps")


def _draw_curve(panel: Axes, stage: str, curve: Sequence[tuple[int, float]]) -> None:
    steps = np.array([step for step, _ in curve], dtype=float)
    values = np.array([loss for _, loss in curve], dtype=float)
    smooth = _running_median(values)
    panel.plot(steps, values, color=GRID, linewidth=1.2)
    panel.plot(steps, smooth, color=SYSTEMS["none"], linewidth=2.0)
    panel.set_title(stage, loc="left", fontsize=11, fontweight="bold")
    panel.set_xlabel("step")
    panel.grid(axis="y", color=GRID, linewidth=0.6, alpha=0.6)
    panel.tick_params(length=0, labelcolor=MUTED)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    if len(curve):
        panel.annotate(
            f"{smooth[-1]:.2f}",
            (steps[-1], smooth[-1]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="right",
            fontweight="bold",
            color=INK,
        )


def _running_median(values: Floats) -> Floats:
    """Median over a tenth of the curve around each point (our choice), itself if it is short."""
    reach = len(values) // 20
    if not reach:
        return values
    padded = np.pad(values, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.asarray(np.median(windows, axis=-1), dtype=np.float64)


def score_plot(scores: Scores) -> str:
    """Model and controls with their intervals: shares left, counted errors, then errors that a
    formula was fitted to, each in a panel of its own."""
    drawn = [s for s in scores.scores if s.control in SYSTEMS]
    shown = [s for s in drawn if "uncertain=" not in s.metric and not s.is_detail]
    groups = {
        axis: _by_metric([score for score in shown if _axis(score) == axis])
        for axis in dict.fromkeys((_SHARES, *sorted(map(_axis, shown))))
    }
    groups = {axis: group for axis, group in groups.items() if group}
    lines = max((len(group) for group in groups.values()), default=0)
    if not lines:
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 0.9 + 0.42 * lines), layout="constrained")
        panels = figure.subplots(1, len(groups), squeeze=False).ravel()
        for panel, (axis, group) in zip(panels, groups.items(), strict=True):
            _draw_intervals(panel, group, lines)
            panel.set_xlabel(axis)
            panel.set_xlim(*_limits(group, 1.0 if axis == _SHARES else 0.0))
        title = "Scores of the model and of its image-blind controls with intervals"
        return inline_svg(figure, title)


_SHARES = "higher is better (BLEU / 100)"
_ERRORS = "errors per report"


def _axis(score: Score) -> str:
    """What a score's panel measures: a count of errors and a formula's share no axis."""
    if score.higher_is_better:
        return _SHARES
    is_counted = score.signature.scale == _ERRORS
    return f"{_ERRORS}, lower is better" if is_counted else "fitted errors, lower is better"


def _limits(group: Mapping[str, Sequence[Score]], most: float) -> tuple[float, float]:
    """Zero to ``most``, further where a point or an interval's end lies outside; rescaled
    BERTScore and RadCliQ fall below zero."""
    ends = [0.0, most]
    for score in (score for row in group.values() for score in row):
        interval, divisor = score.interval, _divisor(score)
        parts = (interval.value, interval.low, interval.high)
        ends += [part / divisor for part in parts if part is not None]
    low, high = min(ends), max(ends)
    margin = 0.02 * ((high - low) or 1.0)
    return low - margin, high + margin


def _divisor(score: Score) -> float:
    return 100.0 if score.signature.scale == "0-100" else 1.0


def _by_metric(scores: Sequence[Score]) -> dict[str, list[Score]]:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.metric, []).append(score)
    return groups


def _draw_intervals(panel: Axes, group: Mapping[str, Sequence[Score]], lines: int) -> None:
    """Metrics from the top down; ``lines`` is the height of the figure, so that panels align."""
    for line, (_, row) in enumerate(group.items()):
        for score in row:
            _draw_interval(panel, score, line)
    panel.set_yticks(range(len(group)), _ticks(list(group)))
    panel.set_ylim(lines - 0.5, -0.5)
    panel.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.6)
    panel.tick_params(length=0)
    panel.spines["left"].set_visible(False)


def _draw_interval(panel: Axes, score: Score, line: int) -> None:
    interval, colour = score.interval, SYSTEMS[score.control]
    divisor = _divisor(score)
    place = line + {"none": -0.2, "shuffled": 0.02, "blank": 0.24}[score.control]
    if interval.value is None:
        return
    panel.plot(interval.value / divisor, place, _MARKERS[score.control], color=colour, markersize=6)
    if interval.low is not None and interval.high is not None:
        ends = (interval.low / divisor, interval.high / divisor)
        panel.plot(ends, (place, place), color=colour, linewidth=2)


def _ticks(metrics: Sequence[str]) -> list[str]:
    """Short names; where several judges share one, each with its judge."""
    short = [short_name(metric) for metric in metrics]
    return [
        f"{name} ({metric.partition('[')[2].partition(']')[0]})" if short.count(name) > 1 else name
        for name, metric in zip(short, metrics, strict=True)
    ]


def short_name(metric: str) -> str:
    """``chexprompt[offline-rules]-significant-errors`` as a tick: without brackets."""
    return re.sub(r"\[[^]]*\]", "", metric).removeprefix("chexprompt-").replace("-", " ")


def inline_svg(figure: Figure, title: str) -> str:
    """The figure as an ``svg`` element with a title for readers of the screen."""
    svg = svg_text(figure)
    svg = svg[svg.index("<svg") :]
    for pattern, replacement in _SVG_EDITS:
        svg = pattern.sub(replacement, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


_SVG_EDITS = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>\s*", ""),
        (r"<defs>\s*<style.*?</defs>\s*", ""),
        (r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">'),
        (r'<g id="[^"]*">', "<g>"),
        (r"font-family: [^;\"]*", "font-family: inherit"),
        (r"font: ([^;\"']*?)(?:'[^;\"]*)?(?=[;\"])", r"font: \1 inherit"),
    )
)
"""What the page has of its own or forbids: sizes, styles, fonts, addresses, ids used twice."""
