"""Pack one set of examples from the studies, images and reports of all its sources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.pieces import BuiltPiece
from tasks.context import Context
from tasks.examples.packing import pack_piece
from tasks.examples.plan import ExampleInputs, ExamplePlan, InputFile, plan_examples

_FILES = {
    "studies": "studies.parquet",
    "images": "images.parquet",
    "reports": "reports.parquet",
}


def write_examples(context: Context, name: str, on_piece: OnPiece = ignore_progress) -> Artifact:
    """A set's shards by piece and split; what becomes no example is rejected with a reason."""
    recipe = _Recipe(context, name)
    with ThreadPoolExecutor(context.environment.workers, "pack") as threads:
        return build_artifact(
            context.store,
            context.graph[f"examples/{name}"],
            lambda: recipe.plan.piece_digests(),
            recipe.pack,
            executor=threads,
            on_piece=on_piece,
        )


class _Recipe:
    """Plans at most once, and only when there is something to pack."""

    def __init__(self, context: Context, name: str) -> None:
        self._context, self._name = context, name

    @cached_property
    def plan(self) -> ExamplePlan:
        inputs = ExampleInputs(**{kind: self._files(kind) for kind in _FILES})
        settings = self._context.settings
        return plan_examples(inputs, settings.sets[self._name], settings.sources.pieces)

    def pack(self, key: str, folder: Path) -> BuiltPiece:
        return pack_piece(self.plan, key, folder)

    def _files(self, kind: str) -> tuple[InputFile, ...]:
        store = self._context.store
        return tuple(
            InputFile(store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
            for name in self._context.source_names
            for piece in self._context.artifact(f"{kind}/{name}").pieces
            for file in piece.files
            if file.name == _FILES[kind]
        )
