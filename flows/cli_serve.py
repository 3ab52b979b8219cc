"""The commands that put models behind HTTP, and that make the tokens for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli_options import DataRoot, Json

if TYPE_CHECKING:
    from tasks.serve.front import Front
    from tasks.serve.keeper import Hands


def serve(
    model: Annotated[
        str, typer.Argument(help="NAME@ALIAS, NAME/VERSION, or a registered model's folder.")
    ],
    drawing: Annotated[
        str | None, typer.Option(help="A model that draws, named likewise [none].")
    ] = None,
    host: Annotated[str, typer.Option(help="Else a token file is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="Who may ask; 'cxr token' writes it [this machine].")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, help="Answers in work at once.")] = 16,
    waiting: Annotated[int, typer.Option(min=0, help="Asks beyond those; more get a 429.")] = 64,
    poll: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks at the alias.")
    ] = 10.0,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Serve until the process is told to stop."""
    hands = _hands(slots, device)
    limits = {"waiting": waiting, "poll_seconds": poll}
    _serve((model, drawing), (host, port), token_file, hands, limits, data_root, as_json)


def _hands(slots: int, device: str) -> Hands:
    from infra.errors import InputError
    from infra.runs import Device
    from tasks.serve.keeper import Hands

    devices: dict[str, Device] = {"auto": "auto", "cpu": "cpu"}
    if device not in devices:
        raise InputError(f"the device '{device}'", "auto or cpu", "correct --device")
    return Hands(slots=slots, device=devices[device])


def _serve(
    models: tuple[str, str | None],
    address: tuple[str, int],
    token_file: Path | None,
    hands: Hands,
    limits: dict[str, Any],
    data_root: str | None,
    as_json: bool,
) -> None:
    import asyncio

    from infra.settings.environment import load_environment
    from tasks.serve.limits import Limits
    from tasks.serve.notice import NOTICE
    from tasks.serve.work import ServeOrder, run_server

    environment = load_environment(data_root=data_root)
    order = ServeOrder(
        model=models[0],
        drawing=models[1],
        host=address[0],
        port=address[1],
        token_file=token_file,
        hands=hands,
        limits=Limits(**limits),
        tracking_uri=environment.tracking_uri,
        copies=environment.state / "served",
    )
    print(NOTICE, file=sys.stderr)
    asyncio.run(run_server(order, lambda url, front: _say_ready(url, front, as_json=as_json)))


def _say_ready(url: str, front: Front, *, as_json: bool) -> None:
    models = {part: str(keeper.version) for part, keeper in front.keepers.items()}
    if as_json:
        print(json.dumps({"event": "ready", "url": url, "models": models}), flush=True)
        return
    for part, model in models.items():
        print(f"{part:<9} {model}")
    print(f"chat      {url}/v1/chat/completions", flush=True)


def token(
    whose: Annotated[str, typer.Argument(help="Its name, for the log.")],
    file: Annotated[Path, typer.Option(help="TOML file that gets its digest.")],
    role: Annotated[str, typer.Option(help="viewer, operator or promoter.")] = "viewer",
    expires: Annotated[
        str | None, typer.Option(help="Its last day, YEAR-MONTH-DAY [none].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a new token into a file, and print it, once."""
    from datetime import date

    from infra.errors import InputError
    from infra.tokens import Role, add_token

    if role not in list(Role):
        raise InputError(f"the role '{role}'", ", ".join(Role), "choose one of them")
    try:
        last = None if expires is None else date.fromisoformat(expires)
    except ValueError:
        raise InputError(f"the day '{expires}'", "YEAR-MONTH-DAY", "correct --expires") from None
    made = add_token(file, whose, Role(role), last)
    print(json.dumps({"name": whose, "role": role, "token": made}) if as_json else made)
