"""The command that talks with a trained model: films and questions in, text and films out."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.launch import Event
from infra.talk import Talk
from tasks.chat import chat_run
from tasks.context import Order, open_context

WARNING = "Not a medical device: what a model says or draws must not guide anybody's care."
FAULTS = {
    "nested": "the model's request for one has a tag inside another",
    "no-start": "the model's request for one has an end and no start",
    "no-end": "the model's request for one has a start and no end",
    "empty": "the model's request for one is empty",
    "several": "the model asked for several at once",
}
"""By fault of a span what a person is told (``sources.xray_span``)."""
HELP = """/show PATH …   show a film, or several of one study (DICOM, PNG or JPEG), and begin anew
/new           begin anew, without a film
/quit          end; so does the end of the input"""

SCRATCH = "cxrflow-chat-"
"""How the folder of a chat begins; its process's number follows."""
_NO_TEXT = "found a line that is no UTF-8; expected text; look at the terminal's coding"
_COMMANDS = "/show PATH …, /new, /help or /quit, or words for the model"


@dataclass(frozen=True)
class ChatOrder:
    """What a person asks for; ``images`` are shown before the first word."""

    ability: str | None
    images: tuple[Path, ...]
    films: Path
    seed: int


def chat(order: Order, asked: ChatOrder, *, as_json: bool) -> bool:
    """Answer lines of stdin until they end; whether none was refused."""
    run = chat_run(open_context(order, make=False), asked.ability, asked.films, asked.seed)
    print(WARNING, file=sys.stderr)
    remove_abandoned(Path(tempfile.gettempdir()))
    refused = 0
    with (
        tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{os.getpid()}-") as folder,
        Talk("models.chat", run, Path(folder)) as talk,
    ):
        if asked.images:
            paths = [_path(str(image)) for image in asked.images]
            refused += _answered(talk, {"show": paths}, as_json=as_json)
        if refused:  # whoever asks about a film wants no answer about none
            return False
        for line in _lines():
            if line in ("/quit", "/exit"):
                break
            if line in ("/help", "/?"):
                print(HELP, file=sys.stderr)
            else:
                refused += _answered(talk, request_of(line), as_json=as_json)
    return refused == 0


def remove_abandoned(place: Path) -> None:
    """What killed chats of this machine left there: the orders and logs of their children. A
    folder that another person owns stays."""
    for folder in place.glob(f"{SCRATCH}*"):
        owner = folder.name.removeprefix(SCRATCH).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def request_of(line: str) -> dict[str, Any]:
    """What a typed line asks of the child; ``refused`` and why, where it can be asked nothing."""
    if any("\ud800" <= letter <= "\udfff" for letter in line):
        return {"refused": _NO_TEXT}
    if line == "/new":
        return {"new": True}
    if line.startswith("/show "):
        return _films_of(line.removeprefix("/show ").strip())
    if line.startswith("/"):  # no question begins so; mistyped, it would be answered as one
        return {"refused": f"found {line.split()[0]}; expected {_COMMANDS}; type /help"}
    return {"say": line}


def _films_of(typed: str) -> dict[str, Any]:
    """One path as it stands, if a file is there; else paths as a shell parts them."""
    if os.path.exists(_path(typed)):  # noqa: PTH110  # Path's own raises at a name too long
        return {"show": [_path(typed)]}
    try:
        return {"show": [_path(each) for each in shlex.split(typed)]}
    except ValueError:
        return {"refused": "found a quote that does not end; expected paths; close it"}


def _path(typed: str) -> str:
    """As a person means it, who is in another folder than the child."""
    known = os.path.expanduser(typed)  # noqa: PTH111  # Path's own raises at the home of nobody
    return str(Path(known).absolute())


def _lines() -> Iterator[str]:
    """Lines that hold something, stripped; a person at a terminal sees a prompt.

    A byte that is no UTF-8 becomes a lone surrogate: of a whole pipe that one line is refused.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        if line:
            yield line


def _answered(talk: Talk, request: dict[str, Any], *, as_json: bool) -> int:
    """Show what comes back; 1 where it was refused, else 0."""
    why = request.get("refused")
    event = talk.ask(request) if why is None else {"event": "refused", "message": why}
    if as_json:
        print(json.dumps(event), flush=True)
    elif event["event"] == "refused":
        print(f"error: {event['message']}", file=sys.stderr)
    else:
        print(text_of(event), flush=True)
    return int(event["event"] == "refused")


def _film_of(event: Event) -> str:
    """Where the film of a whole span lies, or why there is none."""
    lacks = event["view_not_learned"]
    if lacks is not None:
        shown = " and ".join(lacks["shown"])
        return (
            f"(no film: a {lacks['asked']} film was asked for, and this model has been shown "
            f"{shown} films alone)"
        )
    return f"[film: {event['film'] or 'not drawn: this recipe has no model that draws'}]"


def text_of(event: Event) -> str:
    """An event as lines for a person."""
    if event["event"] == "shown":
        return f"(shown: {', '.join(event['images'])})"
    if event["event"] == "new":
        return "(begun anew)"
    lines = [event["said"]] if event["said"] else []
    if event["to_draw"] is not None:
        lines.append(_film_of(event))
        lines.append(f"[of: {event['to_draw']}]")
    if event["fault"] is not None:
        lines.append(f"(no film: {FAULTS[event['fault']]}, so nothing was drawn)")
    if event["is_cut"]:
        lines.append("(cut at the length limit)")
    if event["forgotten"]:
        lines.append(f"(the first {event['forgotten']} exchanges no longer fit and were left out)")
    return "\n".join(lines) or "(an empty answer)"
