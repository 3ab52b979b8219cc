"""Pack one set of examples from the studies, images and reports of all its sources."""

from __future__ import annotations

from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
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


def pack_planned(
    context: Context, make_plan: Callable[[], ExamplePlan], on_piece: OnPiece = ignore_progress
) -> Artifact:
    """Shards of the ability's set by another plan than the recipe's; it is made at most once."""
    plan = cache(make_plan)
    with ThreadPoolExecutor(context.environment.workers, "pack") as threads:
        return build_artifact(
            context.store,
            context.graph[f"examples/{context.asked.examples}"],
            lambda: plan().piece_digests(),
            lambda key, folder: pack_piece(plan(), key, folder),
            executor=threads,
            on_piece=on_piece,
        )


class _Recipe:
    """Plans at most once, and only when there is something to pack."""

    def __init__(self, context: Context, name: str) -> None:
        self._context, self._name = context, name

    @cached_property
    def plan(self) -> ExamplePlan:
        inputs = example_inputs(self._context, self._name)
        return self._make[0](inputs, self._set, self._context.settings.sources.pieces)

    def pack(self, key: str, folder: Path) -> BuiltPiece:
        return self._make[1](self.plan, key, folder)

    @property
    def _set(self) -> ExampleSettings:
        return self._context.settings.shown(self._name)

    @property
    def _make(self) -> tuple[Planner, Packer]:
        return MAKERS[self._set.task]


def example_inputs(context: Context, name: str) -> ExampleInputs:
    """The pieces that the graph says a set is made of."""
    read = context.graph[f"examples/{name}"].inputs
    return ExampleInputs(**{kind: input_files(context, kind, read) for kind in _FILES})


def input_files(context: Context, kind: str, keys: Container[str]) -> tuple[InputFile, ...]:
    """The pieces of that kind, ``studies`` say, of every source whose artifact the keys name."""
    store = context.store
    return tuple(
        InputFile(store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
        for name in context.source_names
        if f"{kind}/{name}" in keys
        for piece in context.artifact(f"{kind}/{name}").pieces
        for file in piece.files
        if file.name == _FILES[kind]
    )
