"""Pack one set of examples from the studies, images and reports of all its sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Final

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.pieces import BuiltPiece
from infra.settings.sections import ExampleSettings
from tasks.context import Context
from tasks.examples.conversation_shards import pack_conversations
from tasks.examples.conversations import plan_conversations
from tasks.examples.packing import pack_piece
from tasks.examples.plan import ExampleInputs, ExamplePlan, InputFile, plan_examples
from tasks.examples.question_shards import pack_questions
from tasks.examples.questions import plan_questions

Planner = Callable[[ExampleInputs, ExampleSettings, int], ExamplePlan]
Packer = Callable[[ExamplePlan, str, Path], BuiltPiece]
MAKERS: Final[dict[str, tuple[Planner, Packer]]] = {
    "findings": (plan_examples, pack_piece),
    "impression": (plan_examples, pack_piece),
    "vqa": (plan_questions, pack_questions),
    "dialogue": (plan_conversations, pack_conversations),
    "generate": (plan_conversations, pack_conversations),
}
"""By a set's task: how its examples are chosen, and how a piece of them is written."""

_FILES = {
    "studies": "studies.parquet",
    "images": "images.parquet",
    "reports": "reports.parquet",
    "dialogues": "dialogues.parquet",
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
        return self._make[0](inputs, self._set, self._context.settings.sources.pieces)

    def pack(self, key: str, folder: Path) -> BuiltPiece:
        return self._make[1](self.plan, key, folder)

    @property
    def _set(self) -> ExampleSettings:
        return self._context.settings.shown(self._name)

    @property
    def _make(self) -> tuple[Planner, Packer]:
        return MAKERS[self._set.task]

    @property
    def _read(self) -> Mapping[str, str]:
        """What the graph says that the set is made of."""
        return self._context.graph[f"examples/{self._name}"].inputs

    def _files(self, kind: str) -> tuple[InputFile, ...]:
        store = self._context.store
        return tuple(
            InputFile(store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
            for name in self._context.source_names
            if f"{kind}/{name}" in self._read
            for piece in self._context.artifact(f"{kind}/{name}").pieces
            for file in piece.files
            if file.name == _FILES[kind]
        )
