"""What each source brings, what is rejected and why, and when it was looked at."""

from __future__ import annotations

from typing import Final

from infra.dashboards.board import Dashboard, Row, Variable
from infra.dashboards.panel import Panel, Query, at_most
from infra.dashboards.promql import ago, grown, newest

_CHOSEN = 'source=~"$source", step=~"$step"'
_SOURCE = 'source=~"$source"'
_ROWS = f"cxr_source_rows{{{_SOURCE}"
_KEPT = f'cxr_source_rows{{{_CHOSEN}, outcome="kept"}}'
_REJECTED = f"sum by (source, step, reason) (cxr_source_rejected_rows{{{_CHOSEN}}})"
_HANDLED = grown(f"cxr_source_handled_rows_total{{{_CHOSEN}}}", "$__interval")
_USUAL = f"cxr_source_usual_reject_share{{{_CHOSEN}}}"
DAY = 86400.0

_TABLE: Final = Panel(
    "Sources",
    "table",
    (
        Query(f'sum by (source) ({_ROWS}, step="studies", unit="studies"}})'),
        Query(f'sum by (source) ({_ROWS}, step="examples", outcome="kept"}})'),
        Query(newest(f'cxr_source_reject_share{{{_SOURCE}, step!="examples"}}', "source")),
        Query(ago(f"cxr_source_checked_timestamp_seconds{{{_SOURCE}}}", "source")),
        Query(ago(f"cxr_source_changed_timestamp_seconds{{{_SOURCE}}}", "source")),
    ),
    "A row for each source: its studies, the examples made of it, the largest rejected share of a "
    "step before examples, and how long ago a run looked at its raw files and found something new.",
    width=24,
    columns={
        "A": "studies", "B": "examples", "C": "worst rejected share",
        "D": "checked ago", "E": "changed ago",
    },
    units={"C": "percentunit", "D": "s", "E": "s"},
    colours={"C": at_most(0.1, 0.3), "D": at_most(DAY, 2 * DAY)},
    sort="worst rejected share",
)  # fmt: skip
_LOST: Final = Row(
    "What is lost",
    (
        Panel(
            "Kept rows by step",
            "bargauge",
            (Query(f"sort_desc(sum by (source, step) ({_KEPT}))", "{{source}}: {{step}}"),),
            "The funnel as of now. A step that counts several units adds them up.",
            height=10,
        ),
        Panel(
            "Rejected rows by reason",
            "bargauge",
            (Query(f"sort_desc(topk(25, {_REJECTED}))", "{{source}} {{step}}: {{reason}}"),),
            "The 25 largest. 'cxr facts --kind rejects' lists all.",
            height=10,
        ),
        Panel(
            "Rejected share by step",
            "timeseries",
            (
                Query(f"cxr_source_reject_share{{{_CHOSEN}}}", "{{source}} {{step}}"),
                Query(_USUAL, "{{source}} {{step}}, usual"),
            ),
            "Of the newest build, beside the median of up to ten builds before. A jump: a "
            "publisher or a rule has changed.",
            unit="percentunit", low=0, high=1,
        ),
        Panel(
            "Rows worked on, day by day",
            "timeseries",
            (Query(f"sum by (source, step) {_HANDLED}", "{{source}} {{step}}"),),
            "Rows of the pieces that were built: work follows what changed.",
            every="1d", low=0,
        ),
    ),
)  # fmt: skip
_FRESH: Final = Row(
    "How fresh",
    (
        Panel(
            "Since raw files were last looked at",
            "timeseries",
            (Query(f"time() - cxr_source_checked_timestamp_seconds{{{_SOURCE}}}", "{{source}}"),),
            "Falls to zero with every run that reaches the source.",
            unit="s", low=0,
        ),
        Panel(
            "Since something new came",
            "timeseries",
            (Query(f"time() - cxr_source_changed_timestamp_seconds{{{_SOURCE}}}", "{{source}}"),),
            "Falls to zero when a run finds files that were added, changed or withdrawn.",
            unit="s", low=0,
        ),
    ),
)  # fmt: skip

SOURCES: Final = Dashboard(
    "cxrflow-sources",
    "cxrflow: sources",
    "What each source brings, what is rejected and why, and how fresh it is.",
    (Row("Now", (_TABLE,)), _LOST, _FRESH),
    (Variable("source", "cxr_source_rows"), Variable("step", "cxr_source_rows")),
)
