"""The options of ``cxr forget`` and ``cxr gc``."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli_options import DataRoot, Json

FORGET_HELP = (
    "Remove a subject who withdrew from everything, prove it, name models that saw it. Ends with 1 "
    "where anything is left, with 3 where nothing is and not everything could be searched."
)
GC_HELP = "Remove artifacts that no registered model, kept run or recent work needs."


def forget(
    subject: Annotated[
        str, typer.Argument(help="Subject id, or a study's where a source names no subject.")
    ],
    source: Annotated[
        list[str], typer.Option("--source", help="NAME or NAME=PATH; the first is the subject's.")
    ],
    study: Annotated[
        list[str] | None, typer.Option("--study", help="Forget these studies alone; repeatable.")
    ] = None,
    retire: Annotated[
        bool, typer.Option("--retire", help="Remove stages that saw it, and their aliases.")
    ] = False,
    old_answers: Annotated[
        bool,
        typer.Option(
            "--old-answers", help="Erase also stored answers that tell not whose they are."
        ),
    ] = False,
    data_root: DataRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, then stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    from flows import cli_forget
    from tasks.forget.work import ForgetOrder

    name = source[0].partition("=")[0]
    asked = ForgetOrder(name, subject, tuple(study or ()), dry_run, retire, old_answers)
    raw = [option for option in source if "=" in option]
    code = cli_forget.forget_subject(asked, raw, data_root, as_json=as_json)
    if code:
        raise typer.Exit(code)


def gc(
    keep_days: Annotated[
        float, typer.Option(min=0, help="Keep whatever was made in so many days.")
    ] = 30,
    keep_runs: Annotated[
        int, typer.Option(min=0, help="Keep the last runs of each recipe and scale.")
    ] = 1,
    data_root: DataRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, then stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    from flows import cli_forget

    cli_forget.collect_garbage(data_root, keep_days, keep_runs, dry_run=dry_run, as_json=as_json)
