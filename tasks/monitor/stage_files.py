"""What the trained stages of a recipe left behind."""

from __future__ import annotations

from pathlib import Path

from infra.artifact import read_artifact
from tasks.context import Context


def stage_files(context: Context, name: str) -> dict[str, Path]:
    """That file of every trained stage which has it, by stage in the recipe's order."""
    found: dict[str, Path] = {}
    for stage in context.settings.stages:
        artifact = read_artifact(context.store, context.graph[f"stages/{stage.name}"])
        for path in artifact.files(name) if artifact else ():
            found[stage.name] = path
    return found
