"""Which step's weights each trained stage has kept."""

from __future__ import annotations

import json

from infra.artifact import read_artifact
from tasks.context import Context


def kept_weights(context: Context) -> dict[str, str]:
    """By stage, for a reader: ``step 450 of 600: 0.152 on validate, the best of 4 looks``."""
    told: dict[str, str] = {}
    for stage in context.settings.stages:
        artifact = read_artifact(context.store, context.graph[f"stages/{stage.name}"])
        for path in artifact.files("result.json") if artifact else ():
            found = json.loads(path.read_text())
            if "kept_step" not in found:
                continue  # a ready model that the stage took as it was
            step, loss, looks = found["kept_step"], found["validate_loss"], found["validate_losses"]
            why = (
                "the last, with nothing to validate on"
                if loss is None
                else f"{loss:.3f} on validate, the best of {len(looks)} looks"
            )
            told[stage.name] = f"step {step} of {found['steps']}: {why}"
    return told
