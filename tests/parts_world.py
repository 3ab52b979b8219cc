"""Small chains of stages with one part of the model swapped, and what each part must weigh."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from models_world import MODELS, STAGES, stage, train_run, trained_world

from infra.settings.stages import LanguageSettings, ModelSettings, VisionSettings
from models.train import train


class Part(NamedTuple):
    """One line of a recipe: ``key = "value"`` under ``models``, and the stages it changes."""

    key: str
    value: str
    changes: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"models.{self.key}={self.value}"


VISION = tuple(
    Part("vision.architecture", value, ("pretrain", "align", "finetune"))
    for value in ("dinov2", "clip", "siglip")
)
PROJECTORS = tuple(
    Part("projector", value, ("align", "finetune"))
    for value in ("mlp2x_gelu", "linear", "resampler")
)
LANGUAGES = tuple(
    Part("language.architecture", value, ("language", "align", "finetune"))
    for value in ("llama", "qwen2", "mistral")
)
PARTS = (*VISION, *PROJECTORS, *LANGUAGES)
ALL_AT_ONCE = (VISION[1], PROJECTORS[2], LANGUAGES[1])


def small_models(*parts: Part) -> ModelSettings:
    """The small world's shapes with those parts swapped; its resampler has 3 queries, 2 layers."""
    shapes = MODELS.model_dump()
    shapes["resampler"] = {"queries": 3, "layers": 2}
    for part in parts:
        *tables, leaf = part.key.split(".")
        node = shapes
        for table in tables:
            node = node[table]
        node[leaf] = part.value
    return ModelSettings.model_validate(shapes)


@cache
def swapped_world(*parts: Part) -> Path:
    """The root of a world whose stages were trained two steps with those parts.

    Stages that the parts do not change are the trained world's own.
    """
    root = Path(tempfile.mkdtemp(prefix="cxrflow-parts-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    own = MODELS.model_dump_json(exclude={"resampler"})
    same = small_models(*parts).model_dump_json(exclude={"resampler"}) == own
    changed = set() if same else {name for part in parts for name in part.changes}
    for name in STAGES:
        if name not in changed:
            shutil.copytree(trained_world() / name, root / name)
            shutil.copytree(trained_world() / "shards", root / "shards", dirs_exist_ok=True)
            continue
        run = train_run(root, stage(name, steps=2), models=small_models(*parts))
        assert train(run) == 0
    return root


def tower_parameters(vision: VisionSettings) -> int:
    """By arithmetic: embeddings, blocks, norms, and SigLIP's pooling head."""
    width, patches = vision.width, vision.patches
    kernel = 3 * vision.patch_px**2 * width
    block = 12 * width**2 + 13 * width
    if vision.architecture == "dinov2":
        around = width + (patches + 1) * width + kernel + width + 2 * width
        return around + vision.layers * (block + 2 * width)
    if vision.architecture == "clip":
        return width + (patches + 1) * width + kernel + 4 * width + vision.layers * block
    head = width + 4 * width**2 + 4 * width + 2 * width + 8 * width**2 + 5 * width
    return patches * width + kernel + width + 2 * width + head + vision.layers * block


def projector_parameters(models: ModelSettings) -> int:
    """By arithmetic, from the tower's width to the language model's."""
    width, target = models.vision.width, models.language.width
    first = width * target + target
    if models.projector == "linear":
        return first
    if models.projector == "mlp2x_gelu":
        return first + target * target + target
    block = 12 * width**2 + 15 * width
    return models.resampler.queries * width + models.resampler.layers * block + 2 * width + first


def language_parameters(language: LanguageSettings, vocabulary: int) -> int:
    """By arithmetic: embedding, head, blocks; Qwen2 alone has biases on query, key and value."""
    width, heads = language.width, language.heads
    shared = width // heads * (language.key_value_heads or heads)
    block = 2 * width**2 + 2 * width * shared + 3 * width * language.feed_forward + 2 * width
    if language.architecture == "qwen2":
        block += width + 2 * shared
    return 2 * vocabulary * width + language.layers * block + width
