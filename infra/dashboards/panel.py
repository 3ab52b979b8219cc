"""Panels of a Grafana dashboard: a few kinds, each with what a reader needs, as Grafana's JSON.

The grid is 24 columns wide. Every panel asks the data source that the dashboard's variable names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
Kind = Literal["stat", "timeseries", "bargauge", "table", "state-timeline"]
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first has no value."""
CALM: Final[Steps] = ((None, "green"),)
PLAIN: Final[Steps] = ((None, "text"),)
ENDS: Final = {
    "completed": "green", "built": "blue", "cached": "green", "failed": "red",
    "killed": "dark-red", "cancelled": "gray",
}  # fmt: skip
"""Colours of what runs and steps come to, the same on every page."""


def at_most(warning: float, critical: float) -> Steps:
    """Green, then orange from the one on, red from the other."""
    return ((None, "green"), (warning, "orange"), (critical, "red"))


def at_least(critical: float, warning: float) -> Steps:
    """Red below the one, orange below the other, green above."""
    return ((None, "red"), (critical, "orange"), (warning, "green"))


@dataclass(frozen=True)
class Query:
    """A PromQL expression; ``legend`` names its series by labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        about: what it shows and when to worry; Grafana shows it behind the title's sign.
        unit: Grafana's name of it: ``s``, ``percentunit``, ``bytes``, ``currencyUSD``, …
        steps: thresholds by colour.
        every: of a time series of growth, the least time that a bar stands for; its queries count
            within ``$__interval``, and bars are stacked.
        band: of a time series, names of the lower and the upper series between which is filled.
        columns: of a table, headings by query's reference; labels keep their names.
        hidden: of a table, label columns that say nothing.
        units: of a table, the unit by query's reference.
        colours: of a table, thresholds by query's reference.
        texts: of a table, by query's reference the texts that stand for numbers.
        sort: of a table, the heading by which it is sorted, largest first.
        series: of a time series, colours by the series' names.
    """

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    about: str
    width: int = 12
    height: int = 8
    unit: str = "short"
    steps: Steps = PLAIN
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    every: str = ""
    band: tuple[str, str] | None = None
    columns: Mapping[str, str] | None = None
    hidden: tuple[str, ...] = ()
    units: Mapping[str, str] | None = None
    colours: Mapping[str, Steps] | None = None
    texts: Mapping[str, Mapping[str, str]] | None = None
    sort: str = ""
    series: Mapping[str, str] | None = None


def reference(place: int) -> str:
    """A, B, C, … of the queries in their order."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place]


def panel_json(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """The panel as Grafana stores it."""
    place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
    told: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, at) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": dict(_OPTIONS[panel.kind]),
    }
    if panel.sort:
        told["options"]["sortBy"] = [{"displayName": panel.sort, "desc": True}]
    if panel.every:
        told["interval"] = panel.every
    if panel.kind == "table":
        told["transformations"] = _one_table(panel)
    return told


def row_json(title: str, number: int, y: int) -> dict[str, Any]:
    """A heading over the panels below it."""
    place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
    return {
        "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
        "gridPos": place,
    }  # fmt: skip


def _target(panel: Panel, query: Query, place: int) -> dict[str, Any]:
    now = panel.kind in ("stat", "bargauge", "table")
    return {
        "refId": reference(place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": now,
        "range": not now,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _thresholds(steps: Steps) -> dict[str, Any]:
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": panel.unit, "thresholds": _thresholds(panel.steps)}
    bounds = {"decimals": panel.decimals, "min": panel.low, "max": panel.high}
    found |= {name: value for name, value in bounds.items() if value is not None}
    found["color"] = {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"}
    if panel.kind == "timeseries":
        found["custom"] = _drawing(stack=bool(panel.every))
    return found


def _drawing(*, stack: bool) -> dict[str, Any]:
    return {
        "drawStyle": "bars" if stack else "line",
        "lineInterpolation": "stepAfter",
        "lineWidth": 0 if stack else 2,
        "fillOpacity": 80 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "axisSoftMin": 0,
    }


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    found = []
    if panel.band is not None:
        low, high = panel.band
        hide = {"id": "custom.hideFrom", "value": {"legend": True, "tooltip": False, "viz": False}}
        thin = {"id": "custom.lineWidth", "value": 0}
        fill = {"id": "custom.fillBelowTo", "value": low}
        found.append(_override("byName", low, [thin, hide]))
        found.append(_override("byName", high, [thin, hide, fill]))
    for name, colour in (panel.series or {}).items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        found.append(_override("byName", name, [{"id": "color", "value": fixed}]))
    for place, heading in (panel.columns or {}).items():
        properties = list(_cells(panel, place))
        if properties:
            found.append(_override("byName", heading, properties))
    return found


def _cells(panel: Panel, place: str) -> Iterator[dict[str, Any]]:
    """How a table's column shows its numbers."""
    if panel.units and place in panel.units:
        yield {"id": "unit", "value": panel.units[place]}
    if panel.texts and place in panel.texts:
        options = {value: {"text": text} for value, text in panel.texts[place].items()}
        yield {"id": "mappings", "value": [{"type": "value", "options": options}]}
    if panel.colours and place in panel.colours:
        yield {"id": "thresholds", "value": _thresholds(panel.colours[place])}
        yield {"id": "custom.cellOptions", "value": {"type": "color-text"}}


YES: Final = {"0": "no", "1": "yes"}


def _override(matcher: str, options: str, properties: list[dict[str, Any]]) -> dict[str, Any]:
    return {"matcher": {"id": matcher, "options": options}, "properties": properties}


def _one_table(panel: Panel) -> list[dict[str, Any]]:
    """Queries' tables as one, a row for each set of labels: all must have the same ones."""
    columns = dict(panel.columns or {})
    if len(panel.queries) == 1:
        renamed = {"Value": columns.get("A", "value")}
    else:
        renamed = {f"Value #{place}": heading for place, heading in columns.items()}
    hidden = dict.fromkeys(("Time", *panel.hidden), True)
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {"excludeByName": hidden, "renameByName": renamed, "indexByName": {}},
        },
    ]


_LEGEND: Final = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
_REDUCE: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Final[Mapping[Kind, dict[str, Any]]] = {
    "stat": {
        "reduceOptions": _REDUCE, "colorMode": "value", "graphMode": "none", "textMode": "auto",
        "justifyMode": "auto", "orientation": "auto",
    },
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "bargauge": {
        "reduceOptions": _REDUCE, "displayMode": "basic", "orientation": "horizontal",
        "valueMode": "text", "showUnfilled": True,
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
    "state-timeline": {
        "mergeValues": True, "showValue": "auto", "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "single"},
    },
}  # fmt: skip
