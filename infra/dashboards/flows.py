"""The first page: is anything wrong, and how do flows go."""

from __future__ import annotations

from typing import Final

from infra.dashboards.board import Dashboard, Row, Variable
from infra.dashboards.panel import CALM, ENDS, YES, Panel, Query, at_least, at_most
from infra.dashboards.promql import ago, grown, newest, quantile

_CHOSEN = 'recipe=~"$recipe", scale=~"$scale", flow=~"$flow"'
_FLOW = "flow, recipe, scale"
_NAME = "{{flow}} {{recipe}} {{scale}}"
HOUR, DAY = 3600.0, 86400.0
_GOOD = f'sum(cxr_flow_runs_recent{{{_CHOSEN}, state="completed"}})'
_ENDED = f'sum(cxr_flow_runs_recent{{{_CHOSEN}, state!="cancelled"}})'

_ALERTS = 'ALERTS{alertname=~"Cxr.*", alertstate="firing", severity!="info"}'
_HOURS = f"sum by (step) {grown('cxr_step_seconds_total', '7d')}"

_NOW: Final = Row(
    "Is anything wrong?",
    (
        Panel(
            "Alerts firing",
            "stat",
            (Query(f"count({_ALERTS}) or vector(0)"),),
            "Alerts of cxrflow that are firing now, but for mere hints. Each has a runbook line "
            "in docs/monitoring.md.",
            width=4, height=4, steps=at_most(1, 2),
        ),
        Panel(
            "Flows failing",
            "stat",
            (Query(f"sum(cxr_flow_failing{{{_CHOSEN}}})"),),
            "Flows whose last run failed or was killed.",
            width=4, height=4, steps=at_most(1, 2),
        ),
        Panel(
            "Good runs, 7 days",
            "stat",
            (Query(f"{_GOOD} / {_ENDED}"),),
            "Share of the runs that ended in the last 7 days, without cancelled ones.",
            width=4, height=4, unit="percentunit", decimals=1, steps=at_least(0.8, 0.95),
        ),
        Panel(
            "Running now",
            "stat",
            (Query("sum(cxr_flow_running) or vector(0)"),),
            "Flow runs under way.",
            width=4, height=4,
        ),
        Panel(
            "Least free disk",
            "stat",
            (Query("min(cxr_disk_free_bytes / cxr_disk_size_bytes)"),),
            "Of the disks of data root and state folder.",
            width=4, height=4, unit="percentunit", steps=at_least(0.1, 0.2),
        ),
        Panel(
            "Longest unchecked source",
            "stat",
            (Query("max(time() - cxr_source_checked_timestamp_seconds)"),),
            "Since a run last looked at the raw files of the source that waits longest.",
            width=4, height=4, unit="s", decimals=0, steps=at_most(DAY, 2 * DAY),
        ),
    ),
)  # fmt: skip
_EACH: Final = Row(
    "Each flow",
    (
        Panel(
            "Flows",
            "table",
            (
                Query(newest(f"cxr_flow_failing{{{_CHOSEN}}}", _FLOW)),
                Query(ago(f"cxr_flow_last_end_timestamp_seconds{{{_CHOSEN}}}", _FLOW)),
                Query(ago(f"cxr_flow_last_success_timestamp_seconds{{{_CHOSEN}}}", _FLOW)),
                Query(newest(f"cxr_flow_last_duration_seconds{{{_CHOSEN}}}", _FLOW)),
                Query(newest(f"cxr_flow_last_late_seconds{{{_CHOSEN}}}", _FLOW)),
                Query(newest(f"cxr_flow_usual_interval_seconds{{{_CHOSEN}}}", _FLOW)),
            ),
            "A row for each flow: whether its last run failed, how long ago runs ended, how long "
            "the last good one took, how late the last scheduled one began, and how often it runs.",
            width=24,
            columns={
                "A": "failing", "B": "last run ago", "C": "last good run ago",
                "D": "last good run took", "E": "last late by", "F": "usual interval",
            },
            units=dict.fromkeys("BCDEF", "s"), texts={"A": YES}, sort="failing",
            colours={"A": at_most(1, 1), "E": at_most(300, 900)},
        ),
    ),
)  # fmt: skip
_TIME: Final = Row(
    "Over time",
    (
        Panel(
            "Runs by how they ended, day by day",
            "timeseries",
            (
                Query(
                    f"sum by (state) {grown(f'cxr_flow_runs_total{{{_CHOSEN}}}', '$__interval')}",
                    "{{state}}",
                ),
            ),
            "Longer spans have wider bars.",
            every="1d", series=ENDS, decimals=0, low=0,
        ),
        Panel(
            "Duration, 95th percentile of 7 days",
            "timeseries",
            (Query(quantile("cxr_flow_duration_seconds", _CHOSEN, "7d", _FLOW, 0.95), _NAME),),
            "Good runs. A quantile lies between a histogram's bounds: read it as so long at most.",
            unit="s", low=0,
        ),
        Panel(
            "Lateness, 95th percentile of 7 days",
            "timeseries",
            (Query(quantile("cxr_flow_late_seconds", _CHOSEN, "7d", _FLOW, 0.95), _NAME),),
            "From when a schedule wanted a run to its start: too few workers, or a full pool.",
            unit="s", low=0,
        ),
        Panel(
            "Time to recover, median of 30 days",
            "timeseries",
            (Query(quantile("cxr_flow_recovery_seconds", _CHOSEN, "30d", _FLOW, 0.5), _NAME),),
            "From the end of a first failed run to that of the next good one.",
            unit="s", low=0,
        ),
        Panel(
            "Steps by how they ended, day by day",
            "timeseries",
            (Query(f"sum by (state) {grown('cxr_steps_total', '$__interval')}", "{{state}}"),),
            "How much of the work was there already: cached steps cost a look.",
            every="1d", series=ENDS, decimals=0, low=0,
        ),
        Panel(
            "Where the hours go, 7 days",
            "bargauge",
            (Query(f"sort_desc({_HOURS})", "{{step}}"),),
            "Seconds that building took, by kind of step.",
            unit="s", steps=CALM,
        ),
    ),
)  # fmt: skip

FLOWS: Final = Dashboard(
    "cxrflow-flows",
    "cxrflow: flows",
    "Is anything wrong? How flow runs end, how long they take, how late they are.",
    (_NOW, _EACH, _TIME),
    tuple(Variable(name, "cxr_flow_failing") for name in ("recipe", "scale", "flow")),
)
