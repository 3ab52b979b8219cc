"""``python -m models.chat run.json``: a conversation with a trained model, line by line.

Each line of stdin is a JSON object: ``{"say": words}``, ``{"show": [path, …]}`` or
``{"new": true}``. Each is answered by one event on stdout: ``answer``, ``shown``, ``new``, or
``refused`` with the reason; the first event, ``ready``, comes before any. The end of stdin ends it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.child import report, run_child
from infra.errors import InputError
from infra.runs import ChatRun
from models.conversation import Conversation
from models.drawing_sampler import DrawingSampler
from models.writer import FindingsWriter
from sources.raw_files import LARGEST_FILE_BYTES


def chat(run: ChatRun) -> int:
    """Answer until stdin ends; returns the exit code."""
    sampler = None
    if run.pipeline is not None:
        sampler = DrawingSampler.load(run.pipeline, run.draw, run.device, views=run.views)
    writer = FindingsWriter.load(run.model, run.generate, run.device)
    conversation = Conversation(writer, run.images, sampler, run.films, run.seed)
    report("ready", draws=sampler is not None)
    for line in sys.stdin:
        try:
            event, values = answer(conversation, json.loads(line))
        except InputError as error:
            event, values = "refused", {"message": str(error)}
        report(event, **values)
    return 0


def answer(conversation: Conversation, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The event that answers one request.

    Raises:
        InputError: it cannot be done; a film that cannot be shown leaves none, anything else the
            conversation as it was.
    """
    if request.get("new"):
        conversation.start_anew()
        return "new", {}
    if "show" in request:
        conversation.start_anew()  # one that cannot be read must not leave the one before it
        conversation.show(*[_read(Path(path)) for path in request["show"]])
        conversation.shown = tuple(request["show"])
        return "shown", {"images": request["show"]}
    reply = conversation.say(request["say"])
    return "answer", {
        "images": list(conversation.shown),
        "text": reply.text,
        "said": reply.read.said,
        "to_draw": reply.to_draw,
        "film": None if reply.film is None else str(reply.film),
        "view_not_learned": None if reply.lacks is None else asdict(reply.lacks),
        "fault": reply.fault,
        "forgotten": reply.forgotten,
        "is_cut": reply.is_cut,
    }


def _read(path: Path) -> bytes:
    """A file's bytes; what is no file is not opened, since reading a pipe may wait for ever."""
    expected = "an image file", "check the path; nothing is shown now"
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}, which is no file", *expected)
        if size > LARGEST_FILE_BYTES:
            raise InputError(f"{path} of {size} bytes", *expected)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}, which cannot be read ({error.strerror})", *expected) from error
    except ValueError as error:  # a NUL in its name
        raise InputError(f"{path}, which names no file", *expected) from error


if __name__ == "__main__":
    sys.exit(run_child(ChatRun, chat))
