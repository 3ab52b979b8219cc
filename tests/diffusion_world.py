"""CXR-SD in miniature on the examples of ``models_world``: shapes, stages and a trained chain."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from models_world import MODELS, stage, train_run

from infra.runs import TrainRun
from infra.settings.stages import ModelSettings, StageSettings
from models.train import train

SIDE_PX = 32
DIFFUSION: dict[str, Any] = {
    "image_px": SIDE_PX,
    "autoencoder": {"channels": [8, 8], "latent_channels": 4, "groups": 4, "patch_px": 4},
    "unet": {"channels": [8, 16], "heads": [2, 2], "groups": 4},
    "noise": {"steps": 100, "prediction": "v_prediction", "to_the_end": True},
    "context_tokens": 16,
}

STAGES: dict[str, dict[str, Any]] = {
    "autoencode": {"trainable": ["autoencoder"]},
    "diffuse": {"trainable": ["unet"], "starts_from": ["autoencode", "pretrain"]},
    "guide": {"trainable": ["guide"], "starts_from": ["diffuse"]},
}


def drawing_models(**changes: object) -> ModelSettings:
    """The small world's shapes, and CXR-SD's with these changes."""
    shapes = MODELS.model_dump(mode="json")
    return ModelSettings.model_validate({**shapes, "diffusion": {**DIFFUSION, **changes}})


def drawing_stage(kind: str, **changes: object) -> StageSettings:
    """A quick stage of CXR-SD, named as its kind."""
    base = {"name": kind, "kind": kind, "learning_rate": 3e-3, "batch_size": 8, "steps": 4}
    told = {**base, "save_steps": 2, "precision": "float32", "ema": 0.9, **STAGES[kind], **changes}
    return StageSettings.model_validate(told)


def drawing_run(root: Path, settings: StageSettings, **changes: object) -> TrainRun:
    """A run of one stage below ``root``, from the stages of the trained chain."""
    made = drawing_world()
    inputs = {name: made / name for name in settings.starts_from}
    return train_run(root, settings, **{"inputs": inputs, "models": drawing_models(), **changes})


@cache
def drawing_world() -> Path:
    """The folders of ``pretrain`` and of the three stages; made once per process, never changed."""
    root = Path(tempfile.mkdtemp(prefix="cxrflow-drawing-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    assert train(train_run(root, stage("pretrain", steps=1))) == 0
    for kind in STAGES:
        assert train(train_run(root, drawing_stage(kind), models=drawing_models())) == 0
    return root
