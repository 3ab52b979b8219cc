"""The command that shows a data root as pages: the reading room."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import DataRoot, Json

UI_HELP = (
    "The reading room: runs, scores, cases, lineage and questions as pages; see docs/pages.md."
)


def ui(
    host: Annotated[str, typer.Option(help="Else a token file is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    serving: Annotated[
        str, typer.Option(help="Where 'cxr serve' answers, which questions go to.")
    ] = "http://127.0.0.1:8000",
    token_file: Annotated[
        Path | None, typer.Option(help="Who may enter; 'cxr token' writes it [this machine].")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="A name that browsers reach it by; repeatable."),
    ] = None,
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="A proxy with TLS stands before it.")
    ] = False,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Answer until the process is told to stop."""
    import asyncio

    from infra.settings.environment import load_environment
    from tasks.pages.work import RoomOrder, run_room
    from tasks.serve.notice import NOTICE

    order = RoomOrder(
        environment=load_environment(data_root=data_root),
        host=host,
        port=port,
        serving=serving,
        token_file=token_file,
        names=tuple(names or ()),
        tls=behind_tls,
        warms_up=True,
    )
    print(NOTICE, file=sys.stderr)
    asyncio.run(run_room(order, lambda url: _say_ready(url, as_json=as_json)))


def _say_ready(url: str, *, as_json: bool) -> None:
    print(
        json.dumps({"event": "ready", "url": url}) if as_json else f"pages     {url}/", flush=True
    )
