"""Commands of those who operate a house: promote, retain, watch, deploy."""

from __future__ import annotations

import typer

from flows.cli_backfill import BACKFILL_HELP, backfill
from flows.cli_control import add_control
from flows.cli_drift import MONITOR_HELP, monitor
from flows.cli_facts import facts, metrics
from flows.cli_pages import UI_HELP, ui
from flows.cli_promote import add_promotions
from flows.cli_retention import FORGET_HELP, GC_HELP, forget, gc
from flows.cli_stack import STACK, deploy
from flows.cli_watch_files import WATCH_FILES_HELP, watch_files


def add_operations(app: typer.Typer) -> None:
    """Add them to the ``cxr`` command, in the order of its help."""
    add_promotions(app)
    add_control(app)
    app.command(help=BACKFILL_HELP)(backfill)
    app.command(help=WATCH_FILES_HELP)(watch_files)
    app.command(help=MONITOR_HELP)(monitor)
    app.command(help=FORGET_HELP)(forget)
    app.command(help=GC_HELP)(gc)
    app.command(help="What runs did: rows that any tool can query; see docs/facts.md.")(facts)
    app.command(help="Answer Prometheus with numbers counted from facts; see docs/monitoring.md.")(
        metrics
    )
    app.command(help=UI_HELP)(ui)
    app.add_typer(STACK, name="stack")
    app.command(help="Register work pools, deployments and automations with Prefect's server.")(
        deploy
    )
