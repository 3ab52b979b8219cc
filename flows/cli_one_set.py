"""The command that compares trained recipes on one test set, or plans it.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import (
    DataRoot,
    DryRun,
    Json,
    RecipeSets,
    Replicas,
    Resamples,
    Scale,
    Seed,
    Sources,
    order_of,
)
from infra.errors import CxrError

if TYPE_CHECKING:
    from infra.artifact import Artifact
    from tasks.monitor.step_report import StepReport
    from tasks.one_set.order import ComparisonOrder


def compare_recipes(
    recipes: Annotated[
        list[str], typer.Argument(help="Trained recipes; the others are held against the first.")
    ],
    on: Annotated[
        str | None, typer.Option(help="Whose test set: RECIPE, or RECIPE/SET [the first recipe].")
    ] = None,
    scale: Scale = "tiny",
    sets: RecipeSets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    metric: Annotated[
        list[str] | None, typer.Option(help="Repeatable [all of the main table].")
    ] = None,
    resamples: Resamples = 1000,
    seed: Seed = 3,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Read the options, then plan or run."""
    from tasks.one_set.order import ComparisonOrder

    asked = ComparisonOrder(
        recipes=tuple(recipes),
        on=on or recipes[0],
        metrics=tuple(metric or ()),
        resamples=resamples,
        seed=seed,
        order=order_of(recipes[0], scale, sets, source, data_root, replicas),
    )
    if dry_run:
        _show_plan(asked, as_json=as_json)
    else:
        _compare(asked, as_json=as_json)


def _show_plan(asked: ComparisonOrder, *, as_json: bool) -> None:
    """How each model would be asked, what exists and what would be built; nothing is written."""
    from tasks.one_set.plan import plan_comparison
    from tasks.one_set.show import plan_json, planned_text

    plan = plan_comparison(asked, make=False)
    print(json.dumps(plan_json(plan), indent=1) if as_json else planned_text(plan))


def _compare(asked: ComparisonOrder, *, as_json: bool) -> None:
    """Ask, score and compare; print the table and where its page lies."""
    from flows.cli_prefect import prefect_at
    from infra.settings.environment import load_environment
    from tasks.one_set.plan import plan_comparison
    from tasks.one_set.work import last_comparison

    started = time.monotonic()
    plan_comparison(asked)  # what is wrong with the order is said before Prefect starts
    with prefect_at(load_environment(data_root=asked.order.data_root), "flows.one_set"):
        from flows.one_set import compare_on_one_set  # Prefect reads its settings on import

        reports = compare_on_one_set(asked)
    done = last_comparison(plan_comparison(asked))
    if done is None:
        raise CxrError("the table was built and is gone: another process removed it; run again")
    _show(done, reports, time.monotonic() - started, as_json=as_json)


def _show(done: Artifact, reports: list[StepReport], seconds: float, *, as_json: bool) -> None:
    from tasks.one_set.work import MARKDOWN_FILE, PAGE_FILE, document_of

    page = done.files(PAGE_FILE)[0]
    if as_json:
        steps = [asdict(report) for report in reports]
        told = {"seconds": round(seconds, 1), "steps": steps, "page": str(page)}
        print(json.dumps({**told, **document_of(done)}, indent=1))
        return
    print(done.files(MARKDOWN_FILE)[0].read_text(encoding="utf-8"))
    built = sum(not report.cached for report in reports)
    print(f"{len(reports)} steps: {len(reports) - built} cached, {built} built, in {seconds:.0f} s")
    print(f"page  {page}")
