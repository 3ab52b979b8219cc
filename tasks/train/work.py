"""Train one stage in a child process; its artifact holds the model and its losses."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

from infra.artifact import Artifact, build_artifact
from infra.launch import Event, Nodes
from infra.log import LOGGER
from infra.parent import run_in_child
from infra.pieces import BuiltPiece
from infra.runs import TrainRun
from infra.settings.sections import ExampleSettings
from infra.settings.stages import StageSettings
from infra.stopping import wait_for_former
from sources.example import Task, request_turn
from sources.record import Split
from tasks.context import Context
from tasks.monitor.pace import missed_bars
from tasks.train.attempts import SPENT_FILE, Attempts

PIECE = "model"
CHECKPOINTS = "checkpoints"
OnEvent = Callable[[str, Event], None]


def train_stage(context: Context, name: str, on_event: OnEvent) -> Artifact:
    """The trained stage; a killed run goes on from its last checkpoint.

    Args:
        on_event: called with the stage's name and each event of the trainer.

    Raises:
        ChildFailed: the trainer ended badly.
    """
    artifact = build_artifact(
        context.store,
        context.graph[f"stages/{name}"],
        lambda: {PIECE: ""},
        partial(_train, context, name, partial(on_event, name)),
    )
    # Or a stage whose artifact is lost one day would not be trained again but taken from there.
    shutil.rmtree(_scratch(context, name) / CHECKPOINTS, ignore_errors=True)
    (_scratch(context, name) / SPENT_FILE).unlink(missing_ok=True)
    return artifact


def _scratch(context: Context, name: str) -> Path:
    step = context.graph[f"stages/{name}"]
    return context.store.state / "stages" / f"{name}-{step.fingerprint}"


def example_files(
    context: Context, split: Split, sets: Sequence[str] | None = None
) -> tuple[Path, ...]:
    """Local shards of one split, in piece order: of the sets, or of the ability's own."""
    return tuple(
        context.store.local(f"{piece.folder}/{file.name}", file.digest)
        for name in sets or (context.asked.examples,)
        for piece in context.artifact(f"examples/{name}").pieces
        for file in piece.files
        if file.name.startswith(f"{split}-")
    )


def plain_request(examples: ExampleSettings, prompt: str) -> str | None:
    """The request without indication, where a stage or generation asks so; a question has none."""
    if prompt != "no-indication" or not examples.is_report:
        return None
    return request_turn(Task(examples.task), None, examples.request).text


def _plain_request(sets: Sequence[ExampleSettings], prompt: str) -> str | None:
    """That of the first set of reports, for only their requests tell an indication."""
    return next((plain_request(each, prompt) for each in sets if each.is_report), None)


class _Launch(TypedDict, total=False):
    processes: int
    nodes: Nodes
    launched: bool


def _launch(context: Context, stage: StageSettings) -> _Launch:
    """How many ranks a stage has; a ready model is copied by one process."""
    if stage.weights:
        return {}
    place = context.environment
    return {
        "processes": place.processes_per_node,
        "nodes": Nodes(place.nodes, place.rendezvous, tuple(shlex.split(place.node_starter or ""))),
        "launched": stage.deepspeed_zero > 0,
    }


def _train(
    context: Context, name: str, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    scratch = _scratch(context, name)
    wait_for_former(scratch)
    attempts = Attempts(scratch / SPENT_FILE)

    def follow(event: Event) -> None:
        attempts.tick()
        on_event(event)

    try:
        facts = run_in_child(
            "models.train",
            _run(context, name, folder),
            scratch,
            follow,
            saves=True,
            **_launch(context, context.settings.stage(name)),
        )
    finally:
        attempts.tell()
    pace = facts.pop("throughput", None)
    for line in missed_bars(name, pace) if pace else ():
        LOGGER.warning("%s", line)
    del key
    measured = {"throughput": pace} if pace else {}
    return BuiltPiece((), facts, measured, attempts.earlier)


def _run(context: Context, name: str, folder: Path) -> TrainRun:
    """What the trainer is told; it goes on from checkpoints beside its scratch, if there are."""
    settings = context.settings
    stage = settings.stage(name)
    sets = settings.sets_of(stage)
    by_set = {each: example_files(context, Split.TRAIN, (each,)) for each in sets}
    return TrainRun(
        stage=stage,
        models=settings.models,
        train_examples=tuple(path for paths in by_set.values() for path in paths),
        set_files={name: len(paths) for name, paths in by_set.items()},
        validate_examples=example_files(context, Split.VALIDATE, sets),
        inputs={
            needed: context.artifact(f"stages/{needed}").local_folder(PIECE)
            for needed in stage.starts_from
        },
        output=folder,
        resume=_scratch(context, name) / CHECKPOINTS,
        weights_root=context.environment.weights_root,
        plain_request=_plain_request([settings.sets[each] for each in sets], stage.prompt),
        workers=context.environment.loader_workers_per_rank,
    )
