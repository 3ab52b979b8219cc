"""A dashboard: its variables, rows of panels laid out by themselves, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.dashboards.panel import SOURCE, WIDTH, Panel, panel_json, row_json

SCHEMA: Final = 39  # of Grafana 10.4 and later
TAG: Final = "cxrflow"


@dataclass(frozen=True)
class Variable:
    """A choice over a label's values; ``metric`` is where they stand.

    Args:
        several: several at once or all; else just one.
    """

    name: str
    metric: str
    several: bool = True


@dataclass(frozen=True)
class Row:
    """Panels under a heading, from left to right, as many beside each other as fit."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page of Grafana; ``uid`` is also its file's name and part of its address."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    span: str = "now-7d"

    def panels(self) -> Iterator[Panel]:
        """All panels, row by row."""
        for row in self.rows:
            yield from row.panels

    def to_dict(self) -> dict[str, Any]:
        """The page as Grafana imports it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": self.span, "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_source(), *map(_variable, self.variables)]},
            "annotations": {"list": [_firing()]},
            "links": [_others()],
            "panels": list(_laid_out(self.rows)),
        }


def _laid_out(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for row in rows:
        yield row_json(row.title, number, y)
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield panel_json(panel, number, x, y)
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _source() -> dict[str, Any]:
    return {
        "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus",
        "hide": 0, "refresh": 1, "regex": "", "multi": False, "includeAll": False,
    }  # fmt: skip


def _variable(variable: Variable) -> dict[str, Any]:
    everything = {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        **(everything if variable.several else {}),
        "name": variable.name,
        "label": variable.name,
        "type": "query",
        "datasource": SOURCE,
        "query": {
            "query": f"label_values({variable.metric}, {variable.name})",
            "refId": variable.name,
        },
        "refresh": 2,
        "multi": variable.several,
        "includeAll": variable.several,
        "sort": 1,
        "hide": 0,
    }


def _firing() -> dict[str, Any]:
    """A mark on every chart where an alert began."""
    return {
        "name": "alerts", "enable": True, "iconColor": "red", "datasource": SOURCE,
        "expr": 'ALERTS{alertname=~"Cxr.*", alertstate="firing", severity!="info"}',
        "titleFormat": "{{alertname}}", "textFormat": "{{flow}} {{source}} {{stage}} {{model}}",
        "step": "60s",
    }  # fmt: skip


def _others() -> dict[str, Any]:
    return {
        "type": "dashboards", "tags": [TAG], "asDropdown": False, "includeVars": False,
        "keepTime": True, "title": "", "icon": "external link", "targetBlank": False,
    }  # fmt: skip
