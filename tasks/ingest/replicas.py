"""Write a source's synthetic stand-in, as an artifact with the publisher's tree inside."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from infra.artifact import (
    Artifact,
    OnPiece,
    build_artifact,
    damaged_pieces,
    ignore_progress,
    read_artifact,
)
from infra.pieces import BuiltPiece, Count
from sources.catalog import get_source
from sources.replicas.truth import ReplicaSpec
from sources.replicas.truth_file import TRUTH_FILE
from tasks.context import Context

PIECE = "tree"
_WRITTEN_AT = 946684800  # 2000-01-01, any fixed time


def build_replica(context: Context, name: str, on_piece: OnPiece = ignore_progress) -> Artifact:
    """The replica of one source; its folder is the raw root that the reader is given."""
    step = context.graph[f"replicas/{name}"]
    spec = ReplicaSpec(**step.settings, processes=context.environment.workers)
    build = partial(_write, context, name, spec)
    return build_artifact(context.store, step, lambda: {PIECE: ""}, build, on_piece=on_piece)


def _drawn_before(context: Context, name: str) -> Path | None:
    """The whole tree of whose persons these are, if it was written from equal settings."""
    owner = f"replicas/{get_source(name).card.subjects_of}"
    steps = context.graph.steps
    if owner not in steps or steps[owner].settings != steps[f"replicas/{name}"].settings:
        return None
    artifact = read_artifact(context.store, steps[owner])
    if artifact is None or not context.store.is_local or damaged_pieces(artifact):
        return None
    return artifact.local_folder(PIECE)


def _write(context: Context, name: str, spec: ReplicaSpec, key: str, folder: Path) -> BuiltPiece:
    del key
    write = get_source(name).write_replica
    assert write is not None
    write(folder, replace(spec, drawn=_drawn_before(context, name)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        # Raw files count by size and time: a replica that is built again must look unchanged.
        os.utime(path, (_WRITTEN_AT, _WRITTEN_AT))
    return BuiltPiece((Count("files", len(files), len(files)), *_planted(folder)))


def _planted(folder: Path) -> tuple[Count, ...]:
    """How many films of each kind were planted that are no help, where there are any."""
    lines = (json.loads(line) for line in (folder / TRUTH_FILE).read_text().splitlines())
    kinds = Counter(kind for line in lines for kind in line.get("superfluous", {}).values())
    return tuple(Count(f"{kind} films planted", n, n) for kind, n in sorted(kinds.items()))
