"""Whether a recipe's stages can be trained: each starts from what it needs, in shapes that fit.

What is wrong is a ``ValueError``, which the recipe's model turns into one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.settings.diffusion import DiffusionSettings
from infra.settings.stages import ModelSettings, StageSettings

Stages = Mapping[str, StageSettings]


def require_trainable(stages: Sequence[StageSettings], models: ModelSettings) -> None:
    """Check all stages, in their order.

    Raises:
        ValueError: one starts from no earlier stage or of the wrong kind, or lacks its shapes.
    """
    named = {stage.name: stage for stage in stages}
    for number, stage in enumerate(stages):
        later = set(stage.starts_from) - {earlier.name for earlier in stages[:number]}
        if later:
            raise ValueError(
                f"stage {stage.name} starts from {', '.join(sorted(later))}, which is no "
                "earlier stage"
            )
        _require_models(stage, named, models)
        _require_drawing(stage, named, models)
        _require_low_rank(stage, models)
        if stage.kind == "pretrain" and models.text_encoder is None:
            raise ValueError(
                f"stage {stage.name} is of kind pretrain, and models has no text_encoder"
            )
    _require_positions(stages, models)


def _require_low_rank(stage: StageSettings, models: ModelSettings) -> None:
    language = models.language
    if stage.lora and stage.lora.rank > language.width and not language.weights:
        raise ValueError(
            f"stage {stage.name}: lora rank {stage.lora.rank} with language width "
            f"{language.width}: no low rank"
        )


def _require_positions(stages: Sequence[StageSettings], models: ModelSettings) -> None:
    """Room for the longest text and its image, where the recipe itself makes the model."""
    language, image_tokens = models.language, models.image_tokens
    # the placeholder in the text makes room for the first of them
    longest = language.context_tokens - 1 + image_tokens
    reads_images = any(stage.kind in ("align", "finetune") for stage in stages)
    if reads_images and longest > language.positions and not language.weights:
        raise ValueError(
            f"language.context_tokens {language.context_tokens} with {image_tokens} image "
            f"tokens make {longest} positions, and language.positions is {language.positions}"
        )


def _require_room_for_prompts(models: ModelSettings, diffusion: DiffusionSettings) -> None:
    """The text tower of the recipe's own pretrain stage reads the prompts."""
    tower = models.text_encoder
    if tower and not tower.weights and diffusion.context_tokens > tower.positions:
        raise ValueError(
            f"diffusion.context_tokens {diffusion.context_tokens} with text_encoder.positions "
            f"{tower.positions}"
        )


def _require_models(stage: StageSettings, named: Stages, models: ModelSettings) -> None:
    """A stage that reads a model must start from a stage that makes one of its kind."""
    if stage.weights:
        return
    kinds = {named[name].kind for name in stage.starts_from}
    choice = {"align", "finetune", "language"} if stage.kind == "finetune" else {"language"}
    if stage.kind not in ("align", "finetune") or models.language.weights:
        return
    if not kinds & choice:
        raise ValueError(
            f"stage {stage.name} starts from no stage of kind {' or '.join(sorted(choice))}"
        )


def _require_drawing(stage: StageSettings, named: Stages, models: ModelSettings) -> None:
    """A stage of CXR-SD has its shapes, and starts from the parts that it does not train."""
    if not stage.draws:
        return
    if models.diffusion is None:
        raise ValueError(f"stage {stage.name} is of kind {stage.kind}, and models has no diffusion")
    if models.diffusion.weights:
        if stage.kind == "autoencode":
            raise ValueError(f"stage {stage.name} trains what diffusion.weights bring")
        return
    _require_room_for_prompts(models, models.diffusion)
    if stage.kind == "guide" and stage.steps and models.diffusion.hint_steps >= stage.steps:
        raise ValueError(
            f"stage {stage.name} has {stage.steps} steps, and the first diffusion.hint_steps "
            f"{models.diffusion.hint_steps} train the hint's guess alone: none is left to guide"
        )
    kinds = {named[name].kind for name in stage.starts_from}
    wanted = {"diffuse": {"autoencode", "pretrain"}, "guide": {"diffuse"}}
    lacking = wanted.get(stage.kind, set()) - kinds
    if lacking:
        raise ValueError(
            f"stage {stage.name} starts from no stage of kind {' or '.join(sorted(lacking))}"
        )
