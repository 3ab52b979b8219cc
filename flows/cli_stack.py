"""The ``cxr stack`` commands: servers and workers as plain local processes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from infra.stack.backup_record import Backup
    from infra.stack.control import Seen
    from infra.stack.place import Place

STACK = typer.Typer(
    help="PostgreSQL, Prefect, MLflow, an object store and workers on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Folder = Annotated[Path, typer.Option(help="Holds all that the stack keeps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@STACK.command(help="Start what is not up, register the deployments, and wait until all is up.")
def up(
    folder: Folder = Path("stack"),
    replicas: Annotated[
        bool,
        typer.Option(help="Deployments read sources without raw data from synthetic stand-ins."),
    ] = True,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait.")] = 600,
) -> None:
    from infra.stack.control import bring_up

    started = time.monotonic()
    command = [sys.executable, "-c", "from flows.cli import main; main()", "deploy"]
    if replicas:
        command.append("--replicas")

    def tell(one: Seen) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {one.name:12} {one.state}", file=sys.stderr)

    place = bring_up(folder, command, patience, tell)
    print(_where(place))


@STACK.command(help="How each process is: state, process id, port, how often it was started.")
def status(folder: Folder = Path("stack"), as_json: Json = False) -> None:
    from infra.stack import control
    from infra.stack.place import read_place

    place = read_place(folder)
    alive = control.supervisor_of(place) is not None
    rows = control.status(place) if alive else []
    if as_json:
        print(json.dumps({"up": alive, "processes": [asdict(row) for row in rows]}, indent=1))
    elif not alive:
        print(f"stopped: {place.root}")
    else:
        print(f"{'process':12} {'state':9} {'pid':>8} {'port':>6} {'starts':>6}  for")
        print("\n".join(_row(row) for row in rows))
        print(_where(place))


@STACK.command(help="Stop every process of the stack and every run on it; what it keeps stays.")
def stop(folder: Folder = Path("stack")) -> None:
    from infra.stack.control import stop

    print("stopped" if stop(folder) else "nothing ran")


@STACK.command(help="Copy all that a running stack keeps into a folder, while runs go on.")
def backup(
    target: Annotated[Path, typer.Argument(help="A new or empty folder, on another disk.")],
    folder: Folder = Path("stack"),
    as_json: Json = False,
) -> None:
    from infra.stack.backup import back_up

    _show_backup("backed up to", target, back_up(folder, target), as_json=as_json)


@STACK.command(help="Make a stack's folder from a backup; 'cxr stack up' then starts it.")
def restore(
    whence: Annotated[Path, typer.Argument(help="A folder that 'cxr stack backup' wrote.")],
    folder: Folder = Path("stack"),
    as_json: Json = False,
) -> None:
    from infra.stack.restore import restore

    _show_backup("restored from", whence, restore(whence, folder), as_json=as_json)


def _show_backup(verb: str, folder: Path, backup: Backup, *, as_json: bool) -> None:
    for artifact in backup.lacking:
        print(f"warning: {artifact} lacks files; a run builds them again", file=sys.stderr)
    if as_json:
        told = {"counts": backup.counts, "bytes": backup.bytes, "lacking": backup.lacking}
        print(json.dumps({"created_at": backup.created_at, **told}, indent=1))
        return
    counts = ", ".join(f"{number} {what}" for what, number in backup.counts.items())
    print(f"{verb} {folder}: {counts}; {backup.bytes / 1e6:.1f} MB, of {backup.created_at}")


def deploy(
    file: Annotated[
        Path | None, typer.Option(help="Deployments [the checkout's prefect.yaml].")
    ] = None,
    pools: Annotated[str, typer.Option(help="process, kubernetes or slurm.")] = "process",
    replicas: Annotated[
        bool, typer.Option("--replicas", help="Synthetic stand-ins for sources without raw data.")
    ] = False,
) -> None:
    """What ``prefect.yaml`` says, as often as is asked."""
    import os
    from typing import get_args

    from infra.errors import SettingsError

    if not os.environ.get("PREFECT_API_URL"):
        raise SettingsError(
            "no PREFECT_API_URL", "the address of Prefect's server", "source the stack's env.sh"
        )
    from flows import deployments

    if pools not in get_args(deployments.PoolKind):
        raise SettingsError(f"--pools {pools}", "process, kubernetes or slurm", "correct it")
    plan = deployments.read_plan(file or deployments.FILE)
    chosen = deployments.with_replicas(plan) if replicas else plan
    deployments.register(chosen, pools, print)  # type: ignore[arg-type]  # one of the kinds


def _row(one: Seen) -> str:
    since = time.time() - one.since
    pid, port = one.pid or "", one.port or ""
    return f"{one.name:12} {one.state:9} {pid:>8} {port:>6} {one.starts:>6}  {since:.0f} s"


def _where(place: Place) -> str:
    """Where a person goes next."""
    from infra.stack.addresses import prefect_login

    user = prefect_login(place).partition(":")[0]
    return "\n".join(
        [
            f"Prefect  {place.url('prefect')}  (log in as '{user}:…': PREFECT_API_AUTH_STRING in "
            "env.sh)",
            f"MLflow   {place.url('mlflow')}",
            f"a shell  . {place.root}/env.sh",
        ]
    )
