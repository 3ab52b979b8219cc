"""The command that watches sources' folders for files.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import DataRoot, Json, Recipe, Scale, Sets, Sources, order_of
from flows.cli_watch import show_deliveries

if TYPE_CHECKING:
    from infra.deliveries import Deliveries, Delivery
    from infra.settings.environment import Environment
    from tasks.context import Order

WATCH_FILES_HELP = "Ingest a source whenever its files have changed and come to rest."


def watch_files(
    deployment: Annotated[
        str | None,
        typer.Option(help="FLOW/DEPLOYMENT that ingests a source [in this process]."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between looks.")] = 60.0,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds that no file may have changed before.")
    ] = 120.0,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds after which a folder never at rest is taken.")
    ] = 3600.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look, wait until settled, deliver, and end.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the delivery log and end.")] = False,
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Show the log, or watch."""
    from infra.settings.environment import load_environment, source_roots
    from tasks.arrivals.look import Rest
    from tasks.arrivals.trigger import files_of, look, open_deliveries, require_sources
    from tasks.promote.trigger import deliver_due

    environment = load_environment(data_root=data_root)
    deliveries = open_deliveries(environment)
    if log:
        _show(deliveries, as_json=as_json)
        return
    roots = source_roots(list(source or ()))
    require_sources(roots)
    order = order_of(recipe, scale, sets, source, data_root, replicas=False)
    rest, until = Rest(settle, patience), time.monotonic() + settle
    with ExitStack() as stack:
        start = _starter(environment, order, deployment, stack)
        while True:
            look(rest, roots, deliveries)
            deliver_due(deliveries, start, files_of)
            if once and time.monotonic() > until + every:
                break
            time.sleep(every)
    _show(deliveries, as_json=as_json)


def _starter(
    environment: Environment, order: Order, deployment: str | None, stack: ExitStack
) -> Callable[[Delivery], str]:
    """Starts the flow; Prefect is set up on the first delivery."""
    opened: list[bool] = []

    def start(delivery: Delivery) -> str:
        from flows.cli_prefect import prefect_at

        if not opened:
            stack.enter_context(prefect_at(environment, "flows.backfill"))
            opened.append(True)
        from flows.backfill import backfill
        from tasks.arrivals.trigger import start_deployment
        from tasks.backfill.work import Backfill
        from tasks.context import raw_digest

        if deployment is not None:
            return start_deployment(deployment, order, delivery)
        raw_digest.cache_clear()  # this process has looked at the files before
        reports = backfill(order, Backfill(only=(delivery.model,)))
        return f"built {sum(report.built for report in reports)} pieces"

    return start


def _show(deliveries: Deliveries, *, as_json: bool) -> None:
    title = "source and what came of it"
    show_deliveries(deliveries, title, lambda each: each.model, as_json=as_json)
