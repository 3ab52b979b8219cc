"""The command that reads a chosen part of the raw data again.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import DataRoot, Json, Recipe, Replicas, Scale, Sets, Sources, order_of
from infra.errors import SettingsError

if TYPE_CHECKING:
    from tasks.monitor.step_report import StepReport

BACKFILL_HELP = "Ingest chosen sources, dates or shards; '--again' although nothing changed."


def backfill(
    only: Annotated[
        list[str] | None, typer.Option(help="A source's name; repeatable [all of the recipe].")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Shards with a study of this day or later: 2015-01-31.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Shards with a study of before this day: 2016-01-01.")
    ] = None,
    shard: Annotated[
        list[str] | None, typer.Option(help="A shard as manifests name it: p0003; repeatable.")
    ] = None,
    until: Annotated[str, typer.Option(help="ingest, or reports too.")] = "ingest",
    again: Annotated[
        bool, typer.Option("--again", help="Build the chosen shards although nothing changed.")
    ] = False,
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    as_json: Json = False,
) -> None:
    """Read the options, run the flow, and print what it did."""
    from flows.cli_prefect import prefect_at
    from infra.settings.environment import load_environment

    if until not in ("ingest", "reports"):
        raise SettingsError(f"--until {until}", "ingest or reports", "correct it")
    order = order_of(recipe, scale, sets, source, data_root, replicas)
    with prefect_at(load_environment(data_root=data_root), "flows.backfill"):
        from flows.backfill import backfill as flow
        from tasks.backfill.work import Backfill

        asked = Backfill(
            only=tuple(only or ()),
            since=since,
            before=before,
            shards=tuple(shard or ()),
            until=until,  # one of the two
            again=again,
        )
        reports = flow(order, asked)
    if as_json:
        print(json.dumps({"steps": [asdict(report) for report in reports]}, indent=1))
    else:
        print("\n".join(map(_line, reports)))


def _line(report: StepReport) -> str:
    counts = ", ".join(f"{unit} {kept} of {rows_in}" for unit, rows_in, kept in report.counts)
    done = f"built {report.built}: {report.reason}" if report.built else "nothing to do"
    return f"{report.key:24} {done}; kept {counts}"
