"""Which step's weights each trained stage has kept."""

from __future__ import annotations

import json

from tasks.context import Context
from tasks.monitor.stage_files import stage_files


def kept_weights(context: Context) -> dict[str, str]:
    """By stage, for a reader: ``step 450 of 600: 0.152 on validate, the best of 4 looks``."""
    told: dict[str, str] = {}
    for stage, path in stage_files(context, "result.json").items():
        found = json.loads(path.read_text())
        if "kept_step" not in found:
            continue  # a ready model that the stage took as it was
        step, loss, looks = found["kept_step"], found["validate_loss"], found["validate_losses"]
        why = (
            "the last, with nothing to validate on"
            if loss is None
            else f"{loss:.3f} on validate, the best of {len(looks)} looks"
        )
        told[stage] = f"step {step} of {found['steps']}: {why}"
    return told
