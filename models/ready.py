"""A stage whose model is ready: published or converted weights in place of training."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from infra.child import report, write_json
from infra.errors import InputError
from infra.runs import TrainRun
from infra.weights import weights_folder
from models.dual_encoder import DUAL_ENCODER_TYPE
from models.portable import forget_places
from models.tokenizers import load_tokenizer
from models.weights import model_type


def take_ready(run: TrainRun) -> None:
    """Copy the folder that ``stage.weights`` names, checked against the recipe's shapes.

    One process does it, whoever started how many: ranks would tear each other's files.

    Raises:
        InputError: it holds another kind of model, another shape, or no tokenizer.
        Unavailable: it is not there.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    folder = weights_folder(run.weights_root, run.stage.weights)
    _require_kind(run, folder)
    load_tokenizer(folder)
    report("start", stage=run.stage.name, steps=0)
    shutil.copytree(folder, run.output, dirs_exist_ok=True)
    forget_places(run.output)
    result: dict[str, object] = {
        "stage": run.stage.name,
        "kind": run.stage.kind,
        "steps": 0,
        "trained_parameters": 0,
    }
    write_json(run.output / "result.json", result)
    report("done", **result)


def _require_kind(run: TrainRun, folder: Path) -> None:
    wanted = {"language": run.models.language.architecture, "pretrain": DUAL_ENCODER_TYPE}
    kind = wanted.get(run.stage.kind, "llava")
    found = model_type(folder)
    if found != kind:
        raise InputError(
            f"a model of type '{found}' in {folder}",
            f"{kind}, as stage '{run.stage.name}' makes it",
            f"set stages.{run.stage.name}.weights to another folder",
        )
    config = json.loads((folder / "config.json").read_text())
    for name, held, told in _shapes(run, config):
        if held != told:
            raise InputError(
                f"{name} {held} in {folder}", f"the recipe's {told}", "set models to its shapes"
            )


def _shapes(run: TrainRun, config: dict[str, Any]) -> list[tuple[str, object, object]]:
    """(name, the folder's, the recipe's) of what later steps take from the recipe."""
    if run.stage.kind == "language":
        return []
    vision, models = config["vision_config"], run.models
    shapes: list[tuple[str, object, object]] = [
        ("image side in px", vision["image_size"], models.vision.image_px),
        ("patch side in px", vision["patch_size"], models.vision.patch_px),
    ]
    if run.stage.kind != "pretrain":
        shapes.append(("image tokens", config["image_seq_length"], models.image_tokens))
    return shapes
