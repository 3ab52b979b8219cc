"""What a variant's answers depend on by content, to tell variants that differ in name alone."""

from __future__ import annotations

from infra.artifact import read_artifact
from infra.fingerprint import fingerprint
from infra.step import Step
from tasks.context import Context
from tasks.examples.packing import REJECTED_FILE


def answers_of(context: Context, reading: str | None = None) -> str:
    """What a variant's answers depend on, or those of a reading; sets of examples count by their
    bytes where they are built."""
    known: dict[str, str] = {}
    for key, step in context.graph.steps.items():  # a step's inputs stand before it
        inputs = {name: known.get(name, raw) for name, raw in step.inputs.items()}
        shards = _shards_of(context, step) if step.kind == "examples" else None
        told = [step.kind, step.revision, step.settings, inputs] if shards is None else shards
        known[key] = fingerprint({"made of": told})
    return known[f"{reading or 'predictions'}/{context.ability}"]


def _shards_of(context: Context, step: Step) -> list[str] | None:
    """Digests of a set's shards, without what tells of rows that are in none; None if unbuilt."""
    artifact = read_artifact(context.store, step)
    if artifact is None:
        return None
    files = [file for piece in artifact.pieces for file in piece.files]
    return sorted(f"{file.name} {file.digest}" for file in files if file.name != REJECTED_FILE)
