"""Register the scored model in MLflow; the artifact is the receipt."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from evaluation.unavailable import by_reason
from infra.artifact import Artifact, build_artifact, read_artifact
from infra.parent import ignore_event, run_in_child
from infra.pieces import BuiltPiece
from infra.provenance import git_commit
from infra.runs import RegisterDrawingRun, RegisterRun
from infra.settings.sections import ExampleSettings, GenerateSettings
from infra.tombstones import withdrawn_from
from infra.tracking import WITHDRAWN_TAG
from tasks.context import Context
from tasks.draw.learned import learned_views
from tasks.monitor.tracked import pipeline_run, run_book
from tasks.readings import reading_numbers
from tasks.score.work import scores_of, unavailable_of
from tasks.train.work import PIECE

RECEIPT_PIECE = "receipt"
RECEIPT_FILE = "registered.json"
LONGEST_TAG = 4000
"""Letters of a tag: MLflow keeps up to 5,000 of a run; our choice stays under that."""


def register(context: Context) -> Artifact:
    """The recipe's model as a new version with the alias ``candidate``."""
    step = context.step("models")
    return build_artifact(
        context.store, step, lambda: {RECEIPT_PIECE: ""}, partial(_register, context)
    )


def _register(context: Context, key: str, folder: Path) -> BuiltPiece:
    del key
    scratch = context.store.state / "register" / context.step("models").fingerprint
    told = _told(context, folder)
    if context.asked.kind == "draw":
        views = learned_views(context, context.asked.stage)
        drawing = RegisterDrawingRun(**told, draw=context.asked.films.sampler, views=views)
        run_in_child("models.register_drawing", drawing, scratch, ignore_event)
    else:
        run_in_child("models.register", _writing(context, told), scratch, ignore_event)
    facts = json.loads((folder / RECEIPT_FILE).read_text())
    return BuiltPiece((), facts)


def _told(context: Context, folder: Path) -> dict[str, Any]:
    """What is told of every model: where it lies and goes, its lineage and its scores."""
    book, scored = run_book(context), scores_of(context)
    return {
        "model": context.artifact(f"stages/{context.asked.stage}").local_folder(PIECE),
        "model_name": context.asked.model_name,
        "tracking_uri": book.uri,
        "experiment": book.experiment,
        "parent_run_id": pipeline_run(context, book),
        "tags": {
            **lineage_tags(context),
            **withdrawn_tag(context),
            "cxrflow.scored": "yes" if scored else "no",
            "cxrflow.unavailable": unavailable_tag(context),
        },
        "metrics": scored | reading_numbers(context),
        "output": folder,
    }


def _writing(context: Context, told: dict[str, Any]) -> RegisterRun:
    """How a model that writes is asked when it is served."""
    asked = _asked(context)
    return RegisterRun(
        **told,
        images=context.settings.images,
        generate=asked.asked.generate,
        section=_section(asked.examples),
        answers=_answers(context),
        request=asked.examples.request,
    )


def _same(context: Context) -> tuple[str, ...]:
    return context.settings.abilities_of(context.asked.stage)


def _asked(context: Context) -> Context:
    """Of the stage's abilities the first that writes reports, by which a served model is asked
    unless something else is; else the first."""
    kinds = {name: context.settings.abilities[name].kind for name in _same(context)}
    reports = (name for name, kind in kinds.items() if kind == "report")
    return context.doing(next(reports, context.ability))


def _answers(context: Context) -> GenerateSettings | None:
    """How the first of the stage's abilities that answers questions is asked."""
    found = (context.settings.abilities[name] for name in _same(context))
    return next((one.generate for one in found if one.kind == "vqa"), None)


def _section(examples: ExampleSettings) -> Literal["findings", "impression"] | None:
    """What a served model writes unasked."""
    task = examples.task
    return task if task == "findings" or task == "impression" else None


def unavailable_tag(context: Context) -> str:
    """Metrics without a number and why, for a tag."""
    told = [f"{names}: {reason}" for names, reason in by_reason(unavailable_of(context))]
    return "\n".join(told)[:LONGEST_TAG]


def withdrawn_tag(context: Context) -> dict[str, str]:
    """How many subjects that its stages learned from have withdrawn; nothing where none has."""
    names = {f"stages/{stage.name}" for stage in context.settings.stages}
    steps = (context.graph[name] for name in names if name in context.graph.steps)
    trained = [found for step in steps if (found := read_artifact(context.store, step))]
    tags = lineage_tags(context)
    made = {
        stage.folder: stage.created_at
        for stage in trained
        if tags.get(f"cxrflow.stages.{stage.step.name}") == stage.fingerprint
    }
    number = withdrawn_from(context.store, made)
    return {WITHDRAWN_TAG: str(number)} if number else {}


def lineage_tags(context: Context) -> dict[str, str]:
    """The git commit and every fingerprint behind the model."""
    model = context.step("models")
    tags = {"cxrflow.git_commit": git_commit(), "cxrflow.scale": context.settings.scale}
    waiting = [model]
    while waiting:
        step = waiting.pop()
        tags[f"cxrflow.{step.kind}.{step.name}"] = step.fingerprint
        waiting.extend(context.graph.inputs_of(step))
    return dict(sorted(tags.items()))
