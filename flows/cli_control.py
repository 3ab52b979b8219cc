"""The commands that stop runs and start them again.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import DataRoot, Json
from infra.errors import SettingsError

if TYPE_CHECKING:
    from tasks.control.work import Done

Run = Annotated[str, typer.Argument(help="A flow run's id, the beginning of it, or its name.")]
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds until it must be gone; it is not waited for longer.")
]


def cancel(run: Run, wait: Wait = 350, data_root: DataRoot = None, as_json: Json = False) -> None:
    """By the server that is set; without one, of a command's own run."""
    if _server():
        from prefect.client.orchestration import get_client

        from tasks.control import work

        with get_client(sync_client=True) as client:
            _show(work.cancel(client, work.find_run(client, run), wait), as_json=as_json)
        return
    from infra.settings.environment import load_environment
    from tasks.context import open_store
    from tasks.control.work import cancel_here

    store = open_store(load_environment(data_root=data_root), make=False)
    _show(cancel_here(store, run, wait), as_json=as_json)


def pause(run: Run, wait: Wait = 350, as_json: Json = False) -> None:
    """By the server that is set."""
    _require_server("pause")
    from prefect.client.orchestration import get_client

    from tasks.control import work

    with get_client(sync_client=True) as client:
        _show(work.pause(client, work.find_run(client, run), wait), as_json=as_json)


def resume(run: Run, as_json: Json = False) -> None:
    """By the server that is set."""
    _require_server("resume")
    from prefect.client.orchestration import get_client

    from tasks.control import work

    with get_client(sync_client=True) as client:
        _show(work.resume(client, work.find_run(client, run)), as_json=as_json)


def add_control(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(help="Stop a run after a checkpoint, with every process of it; docs/control.md.")(
        cancel
    )
    app.command(help="Stop a deployment's run after a checkpoint until it is resumed.")(pause)
    app.command(help="Have a worker go on with a run that was paused, cancelled or failed.")(resume)


def _server() -> str | None:
    """Of the environment, or of a person's own profile."""
    from prefect.settings import PREFECT_API_URL

    found: str | None = PREFECT_API_URL.value()
    return found


def _require_server(verb: str) -> None:
    if not _server():
        raise SettingsError(
            f"'cxr {verb}' without PREFECT_API_URL",
            "the address of Prefect's server, for a command's own run ends with its process",
            "source the stack's env.sh, or give the run's own command again",
        )


def _show(done: Done, *, as_json: bool) -> None:
    print(json.dumps(asdict(done)) if as_json else f"{done.state}: {done.name} ({done.run_id})")
