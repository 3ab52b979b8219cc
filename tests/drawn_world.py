"""Recipes with a set of drawn films, and such a set in miniature; nothing here needs torch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from infra.settings import Settings, load_settings
from infra.settings.sections import DrawnSettings
from sources.drawing import DRAWING_SCHEMA
from tasks.drawn.chosen import prompts_of

BASE = "llava_rad"
DIFFUSION: dict[str, Any] = {
    "image_px": 32,
    "autoencoder": {"channels": [8, 8], "latent_channels": 4, "groups": 4, "patch_px": 4},
    "unet": {"channels": [8, 16], "heads": [2, 2], "groups": 4},
    "noise": {"steps": 100, "prediction": "v_prediction", "to_the_end": True},
    "context_tokens": 16,
}
DRAWING: dict[str, dict[str, Any]] = {
    "autoencode": {"trainable": ["autoencoder"]},
    "diffuse": {"trainable": ["unet"], "starts_from": ["autoencode", "pretrain"]},
    "guide": {"trainable": ["guide"], "starts_from": ["diffuse"]},
}


def drawing_tree(*overrides: str) -> dict[str, Any]:
    """LLaVA-Rad's tiny recipe with CXR-SD's stages behind its own."""
    tree = load_settings("llava_rad", "tiny", overrides).model_dump(mode="json")
    tree["models"]["diffusion"] = DIFFUSION
    quick = {"learning_rate": 3e-3, "batch_size": 8, "steps": 4, "precision": "float32"}
    tree["stages"] += [
        {"name": kind, "kind": kind, **quick, **told} for kind, told in DRAWING.items()
    ]
    return tree


def drawn_tree(stages: dict[str, dict[str, Any]] | None = None, **drawn: Any) -> dict[str, Any]:
    """The same, and its finetune stage trains on films that the guide draws too.

    Args:
        stages: by name of a stage what differs in it.
        drawn: what differs in ``[sets.drawn.drawn]``.
    """
    tree = drawing_tree()
    asked = {"stage": "guide", "of": BASE, "share": 0.5, "steps": 3, **drawn}
    tree["sets"]["drawn"] = {**tree["sets"][BASE], "drawn": asked}
    changes = {"finetune": {"examples": {BASE: 2, "drawn": 1}}, **(stages or {})}
    tree["stages"] = [{**stage, **changes.get(stage["name"], {})} for stage in tree["stages"]]
    return tree


def drawn_recipe(stages: dict[str, dict[str, Any]] | None = None, **drawn: Any) -> Settings:
    """The same as settings."""
    return Settings.model_validate(drawn_tree(stages, **drawn))


def drawn_films(shards: tuple[Path, ...], settings: DrawnSettings, target: Path) -> Path:
    """A picture for each prompt of the shards, as ``models.draw`` leaves them."""
    rows = [
        {**row, "width": 48, "height": 48, "pixels": grey_png(number)}
        for number, row in enumerate(prompts_of(shards, settings).to_pylist())
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DRAWING_SCHEMA), target)
    return target


def grey_png(seed: int, side_px: int = 48) -> bytes:
    """A picture of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side_px, side_px)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def inline(value: Any) -> str:
    """A value as TOML on one line, for ``--set``; keys without a value are left out."""
    if isinstance(value, dict):
        told = (f"{key}={inline(one)}" for key, one in value.items() if one is not None)
        return "{" + ",".join(told) + "}"
    if isinstance(value, list):
        return "[" + ",".join(inline(one) for one in value) + "]"
    return json.dumps(value)


def drawn_overrides(**drawn: Any) -> tuple[str, ...]:
    """``--set`` of LLaVA-Rad's tiny recipe that make the recipe of ``drawn_tree``, shortest."""
    tree = drawn_tree(**drawn)
    stages = [{**stage, "steps": 3} for stage in tree["stages"]]
    asked = tree["sets"]["drawn"]["drawn"]
    return (
        f"models.diffusion={inline(DIFFUSION)}",
        f"stages={inline(stages)}",
        f"sets={inline({BASE: {}, 'drawn': {'drawn': asked}})}",
        f"abilities={inline({BASE: {'stage': 'finetune'}})}",
        "readings=[]",
    )
