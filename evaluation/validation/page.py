"""The result of a validation for readers: Markdown with both tables, and one picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.figures import style, svg_text
from evaluation.interval_text import difference_text, interval_text
from evaluation.statistics import Interval
from evaluation.validation.harness import Agreement, Ceiling, Validation
from evaluation.validation.pair_metrics import Target

_TITLES: dict[Target, str] = {
    "significant": "Clinically significant errors",
    "all": "All errors",
}
_INK, _MUTED, _LINE, _BAND = "#1b2733", "#5b6b7a", "#d5dde4", "#e8f1ee"
_JUDGE, _METRIC, _CONTROL, _RATERS = "#b4532a", "#2f5d8a", "#9aa7b3", "#2c7a63"
_STYLE = style(_INK, _MUTED, _LINE) | {"axes.spines.left": False}


def as_markdown(found: Validation) -> str:
    """Tables by target, metrics in falling order of tau, and what could not be rated."""
    lines = [
        f"# Metrics against raters: {found.name}",
        "",
        f"{found.pairs:,} pairs of {found.studies:,} studies, {found.raters} raters; "
        f"{found.rows_in:,} rows read, {sum(found.rejected.values()):,} rejected"
        + "".join(f", {count:,} {why}" for why, count in found.rejected.items())
        + ".",
        "",
        "tau-b is Kendall's, of a metric against the mean number of errors per pair; a metric for "
        "which higher is better is negated first, so that more is better everywhere. *Left in* is "
        "the mean over raters of the agreement with the others' mean, the same figure as the "
        "raters' own: *over raters* is the difference of both. The mean absolute difference is in "
        "errors per pair; *fitted* means that a line through the other studies' pairs turned the "
        f"metric into errors. 95 % intervals draw studies, {found.resamples} times, seed "
        f"{found.seed}.",
    ]
    for judge, failures in found.failures.items():
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(failures.items()))
        lines += ["", f"{judge} gave no counts for {sum(failures.values()):,} pairs: {why}."]
    for target, title in _TITLES.items():
        own = sorted_agreements(found, target)
        if own:
            lines += ["", f"## {title}", "", *_table(own, found.ceiling(target))]
    if found.kinds:
        lines += ["", "## Kind by kind: mean errors per pair", "", *_kinds_table(found)]
    lines += ["", "## Not rated", ""]
    lines += [f"- {name}: unavailable: {why}" for name, why in found.unavailable.items()]
    return "\n".join(lines) + "\n"


def _kinds_table(found: Validation) -> list[str]:
    return [
        "| judge | kind | tier | pairs | raters | judge | mean absolute difference |",
        "|---|---|---|---:|---:|---:|---:|",
        *(
            f"| {item.judge} | {item.kind.replace('_', ' ')} | {item.tier} | {item.pairs:,} "
            f"| {item.raters_mean:.3f} | {item.judge_mean:.3f} | {item.difference:.3f} |"
            for item in found.kinds
        ),
    ]


def sorted_agreements(found: Validation, target: Target) -> list[Agreement]:
    """Those of a target, best tau first; unknown ones last."""
    own = [item for item in found.agreements if item.target == target]
    return sorted(own, key=lambda item: -2.0 if item.tau.value is None else item.tau.value)[::-1]


def _table(own: Sequence[Agreement], ceiling: Ceiling | None) -> list[str]:
    lines = [
        "| metric | better | pairs | tau-b | left in | over raters | mean absolute difference "
        "| left in |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    if ceiling is not None:
        rated = max(item.pairs for item in ceiling.raters)
        lines.append(
            f"| **a rater, left out** | – | {rated:,} | – | {interval_text(ceiling.tau)} | – | – "
            f"| {interval_text(ceiling.difference)} |"
        )
    lines += [
        f"| `{item.metric}` | {'higher' if item.higher_is_better else 'lower'} | {item.pairs:,} "
        f"| {interval_text(item.tau)} | {interval_text(item.left_in_tau)} "
        f"| {difference_text(item.over_ceiling)} | {interval_text(item.difference)} {item.units} "
        f"| {interval_text(item.left_in_difference)} |"
        for item in own
    ]
    if ceiling is not None:
        each = "; ".join(
            f"{item.rater}: {'–' if item.tau is None else f'{item.tau:.3f}'}, "
            f"{item.difference:.3f}, {item.pairs:,} pairs"
            for item in ceiling.raters
        )
        lines += [
            "",
            f"Mean errors per pair: {ceiling.mean_errors:.3f}. Each rater against the mean of the "
            f"others (tau-b, mean absolute difference): {each}.",
        ]
    return lines


def as_picture(found: Validation) -> str:
    """An SVG: one panel per target, a row per metric, the raters' ceiling as a band.

    Points are the agreement with raters left in, which the ceiling may be set beside; with a
    single rater they are the agreement with that one.
    """
    groups = {
        target: [item for item in sorted_agreements(found, target) if item.tau.value is not None]
        for target in _TITLES
    }
    shown = {target: items for target, items in groups.items() if items}
    rows = max((len(items) for items in shown.values()), default=1)
    with rc_context(_STYLE):
        figure = Figure(figsize=(6.4 * max(len(shown), 1), 1.3 + 0.36 * rows), layout="constrained")
        panels = figure.subplots(1, max(len(shown), 1), squeeze=False).ravel()
        for panel, (target, items) in zip(panels, shown.items(), strict=False):
            _draw(panel, _TITLES[target], items, found.ceiling(target), rows)
        return svg_text(figure)


def _draw(
    panel: Axes, title: str, items: Sequence[Agreement], ceiling: Ceiling | None, rows: int
) -> None:
    if ceiling is not None and ceiling.tau.value is not None:
        low, high = ceiling.tau.low, ceiling.tau.high
        if low is not None and high is not None:
            panel.axvspan(low, high, color=_BAND, linewidth=0, zorder=0)
        panel.axvline(ceiling.tau.value, color=_RATERS, linewidth=1.2, zorder=1)
        panel.annotate(
            "a rater, left out",
            (ceiling.tau.value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=_RATERS,
        )
    panel.axvline(0.0, color=_LINE, linewidth=1.0, zorder=1)
    for row, item in enumerate(items):
        _draw_metric(panel, row, item)
    panel.set_yticks(range(len(items)), [item.metric.replace("[", " [", 1) for item in items])
    panel.set_ylim(rows - 0.4, -0.6)
    panel.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=18)
    panel.set_xlabel("Kendall tau-b, 95 % interval over studies")
    panel.set_xlim(min(-0.05, *(_shown(item).low or 0.0 for item in items)), 1.0)
    panel.grid(axis="x", color=_LINE, linewidth=0.6, alpha=0.7)
    panel.tick_params(length=0)
    panel.tick_params(axis="y", labelsize=8.5)


def _draw_metric(panel: Axes, row: int, item: Agreement) -> None:
    colour = _CONTROL if item.is_control else _METRIC
    if item.metric.startswith("chexprompt"):
        colour = _JUDGE
    tau = _shown(item)
    assert tau.value is not None
    if tau.low is not None and tau.high is not None:
        panel.plot((tau.low, tau.high), (row, row), color=colour, linewidth=2.2)
    panel.plot(tau.value, row, "o", color=colour, markersize=6.5, zorder=3)
    panel.annotate(
        f"{tau.value:.2f}".replace("-", "−"),
        (1.0, row),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold",
        color=colour,
    )


def _shown(item: Agreement) -> Interval:
    """What is set beside the raters' ceiling, or what there is without one."""
    return item.tau if item.left_in_tau.value is None else item.left_in_tau
