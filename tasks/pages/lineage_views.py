"""The lineage page: what came of what, each artifact with its fingerprint, rows, cost and links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from infra.fingerprint import code_digests, drifted_modules
from infra.record_file import read_record
from infra.step import MANIFEST
from tasks.graph import CODE, REVISIONS
from tasks.pages.library import Kept
from tasks.pages.lineage import after, before, draw, ends
from tasks.pages.room import ROOM, Room, page, work
from tasks.serve.refused import Refused

_PIECES: Final = 40  # pieces on a page (our choice); the manifest has all
_MOST: Final = 160
"""Boxes of a drawing. Our choice: of a larger house the newest ends with what is behind them."""


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/lineage", lineage)
    router.add_get("/lineage/{kind}/{name}", artifact)


async def lineage(request: web.Request) -> web.Response:
    """All that is under the data root, or as much as can be looked at."""
    return page(request, "lineage.html.j2", **await work(_all, request.app[ROOM]))


def _all(room: Room) -> dict[str, Any]:
    held = room.library.all()
    last = ends(held)
    shown: dict[str, None] = {}
    for kept in last:
        more = [kept.folder, *before(held, kept.folder)]
        if len(shown.keys() | set(more)) > _MOST and shown:
            continue
        shown.update(dict.fromkeys(more))
    return {
        "drawing": draw(held, tuple(shown)),
        "left": len(held) - len(shown),
        "ends": last,
        "damaged": room.library.damaged(),
        "count": len(held),
        "kinds": {kind: room.library.of(kind) for kind in REVISIONS if room.library.of(kind)},
    }


async def artifact(request: web.Request) -> web.Response:
    """One artifact between all that is behind it and all that came of it."""
    kind, name = request.match_info["kind"], request.match_info["name"]
    if kind not in REVISIONS:
        raise Refused(404, "no_artifact", "there is no such kind of artifact")
    return page(
        request, "artifact.html.j2", **await work(_one, request.app[ROOM], f"{kind}/{name}")
    )


def _one(room: Room, folder: str) -> dict[str, Any]:
    kept, held = room.library.get(folder), room.library.all()
    behind, made = before(held, folder), after(held, folder)
    return {
        "kept": kept,
        "drawing": draw(held, {folder, *behind, *made}, folder),
        "inputs": [held[one] for one in kept.input_folders if one in held],
        "absent": _absent(kept, held),
        "outputs": [one for one in held.values() if folder in one.input_folders],
        "pieces": kept.artifact.pieces[:_PIECES],
        "pieces_left": max(0, len(kept.artifact.pieces) - _PIECES),
        "bytes": sum(file.bytes for piece in kept.artifact.pieces for file in piece.files),
        "drift": _drift(room, kept),
        "facts": _facts(kept),
    }


def _absent(kept: Kept, held: Mapping[str, Kept]) -> list[tuple[str, str]]:
    """Inputs that are no artifact here: raw data, rounds, or what was removed."""
    inputs = kept.artifact.step.inputs.items()
    return [(key, str(value)) for key, value in inputs if f"{key}-{value}" not in held]


def _drift(room: Room, kept: Kept) -> tuple[str, ...]:
    """Modules whose code has changed since it was made."""
    manifest = read_record(room.store, f"{kept.folder}/{MANIFEST}")
    if manifest is None:
        return ()
    modules = tuple(module.format(name=kept.name) for module in CODE.get(kept.kind, ()))
    try:
        return drifted_modules(manifest["code"]["digests"], code_digests(*modules))
    except (ImportError, FileNotFoundError):
        return ()


def _facts(kept: Kept) -> list[tuple[str, str]]:
    """Plain numbers and words that the pieces tell; of many pieces, of the first."""
    told = kept.artifact.pieces[0].facts if kept.artifact.pieces else {}
    return [
        (name, f"{value:,}" if isinstance(value, int) else str(value))
        for name, value in told.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
