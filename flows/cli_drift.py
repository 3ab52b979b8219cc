"""The command that watches a champion.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flows.cli_options import DataRoot, Json, Recipe, Replicas, Scale, Sets, Sources, order_of
from infra.errors import ArtifactError, InputError

if TYPE_CHECKING:
    from infra.artifact import Artifact
    from tasks.drift.order import MonitorOrder

EXIT_DRIFT: Final = 3
"""A look that told drift from chance; 0 is one that did not, 2 bad input."""
MONITOR_HELP: Final = (
    "Ask the champion about what has arrived since it was judged, and look for drift; exit code 3 "
    "where there is some. See docs/drift.md."
)
_DAY: Final = typer.Option(metavar="YYYY-MM-DD", help="Studies acquired from that day on [all].")
_LAST: Final = typer.Option(metavar="YYYY-MM-DD", help="Studies acquired until that day [all].")


def monitor(
    model: Annotated[str, typer.Argument(help="A registered model's name.")],
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    since: Annotated[str | None, _DAY] = None,
    until: Annotated[str | None, _LAST] = None,
    yearly_false_alarms: Annotated[
        float, typer.Option(min=1e-6, max=1.0, help="Chance of any false alarm in a year.")
    ] = 0.05,
    looks_per_year: Annotated[
        int, typer.Option(min=1, max=10_000, help="Looks that a year may have at most.")
    ] = 366,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    as_json: Json = False,
) -> None:
    """Read the options, look, and print what was found."""
    from tasks.drift.order import MonitorOrder

    asked = MonitorOrder(
        model=model,
        order=order_of(recipe, scale, sets, source, data_root, replicas),
        since=_day("--since", since),
        until=_day("--until", until),
        yearly_false_alarms=yearly_false_alarms,
        looks_per_year=looks_per_year,
    )
    if asked.since and asked.until and asked.since > asked.until:
        raise InputError(
            f"--since {since} --until {until}",
            "a window from its first day to its last",
            "swap them",
        )
    if _look(asked, as_json=as_json):
        raise typer.Exit(EXIT_DRIFT)


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise InputError(f"{option} {text}", "a day as YYYY-MM-DD", "correct it") from None


def _look(asked: MonitorOrder, *, as_json: bool) -> bool:
    """Whether there is drift, after printing it."""
    from flows.cli_prefect import prefect_at
    from infra.settings.environment import load_environment
    from tasks.drift.plan import plan_drift

    plan_drift(asked)  # what is wrong with the order is said before Prefect starts
    with prefect_at(load_environment(data_root=asked.order.data_root), "flows.monitor"):
        from flows.monitor import monitor as monitor_flow  # Prefect reads its settings on import

        monitor_flow(asked)
    return _show(asked, as_json=as_json)


def _show(asked: MonitorOrder, *, as_json: bool) -> bool:
    from tasks.drift.plan import plan_drift
    from tasks.drift.work import MARKDOWN_FILE, PAGE_FILE, document_of, last_look

    done: Artifact | None = last_look(plan_drift(asked))
    if done is None:
        raise ArtifactError("the look was taken and is gone: another process removed it; run again")
    document, page = document_of(done), done.files(PAGE_FILE)[0]
    if as_json:
        print(json.dumps({**document, "page": str(page)}, indent=1))
    else:
        print(done.files(MARKDOWN_FILE)[0].read_text(encoding="utf-8"))
        print(f"page  {page}")
    return bool(document["drifted"])
