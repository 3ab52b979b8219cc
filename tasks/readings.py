"""Readings of models beside their scores (retrieval, grounding, consistency) and their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.artifact import Artifact, read_artifact
from infra.settings.sections import Reading
from tasks.context import Context


def reading(context: Context, kind: Reading) -> Artifact | None:
    """The artifact, None before it is made or where the recipe does not ask for it."""
    if kind not in context.settings.readings:
        return None
    return read_artifact(context.store, context.step(kind))


def reading_document(context: Context, kind: Reading) -> dict[str, Any] | None:
    """What ``<kind>.json`` holds; None where there is no such artifact."""
    artifact = reading(context, kind)
    if artifact is None:
        return None
    found: dict[str, Any] = json.loads(artifact.files(f"{kind}.json")[0].read_text())
    return found


def reading_page(context: Context, kind: Reading) -> Path | None:
    """Where ``<kind>.html`` lies; None where there is no such artifact."""
    artifact = reading(context, kind)
    return None if artifact is None else artifact.files(f"{kind}.html")[0]


def reading_numbers(context: Context) -> dict[str, float]:
    """The scores of all readings of the ability's model by name, for a registry.

    Raises:
        ArtifactError: one that the recipe asks for has not been made.
    """
    numbers: dict[str, float] = {}
    for kind in context.settings.readings:
        key = f"{kind}/{context.settings.first_ability}"
        if key in context.step("models").inputs:  # else it is another stage's
            numbers |= context.artifact(key).pieces[0].facts["tracked"]
    return numbers
