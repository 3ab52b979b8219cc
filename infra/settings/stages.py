"""The training stages of a recipe: ``[[stages]]`` tables and the ``[models.*]`` shapes.

A stage is data: what kind it is, what is trainable, for how long, on which text. The same code
runs at every scale.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.settings.sections import Section

StageKind = Literal["language", "pretrain", "align", "finetune"]


class VisionSettings(Section):
    """The vision tower; ``weights`` is a local folder or None for random initial weights."""

    architecture: Literal["dinov2"] = "dinov2"
    weights: str | None = None
    image_px: int = Field(ge=14)
    patch_px: int = Field(ge=4)
    width: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    feature_layer: int = Field(default=-2, le=-1)


class TextEncoderSettings(Section):
    """The dual encoder's text tower (BERT)."""

    weights: str | None = None
    width: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    context_tokens: int = Field(default=256, ge=8)
    vocabulary: int = Field(default=30522, ge=256)
    projection_hidden: int = Field(default=640, ge=8)


class LanguageSettings(Section):
    """The language model (Llama); ``weights`` is a local folder or None for random weights."""

    weights: str | None = None
    width: int = Field(ge=8)
    feed_forward: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    vocabulary: int = Field(default=32000, ge=256)
    context_tokens: int = Field(default=2048, ge=32)


class ModelSettings(Section):
    """Shapes of the networks."""

    vision: VisionSettings
    text_encoder: TextEncoderSettings
    language: LanguageSettings
    embedding: int = Field(default=512, ge=8)
    projector: Literal["mlp2x_gelu", "linear"] = "mlp2x_gelu"


class LoraSettings(Section):
    """LoRA on every linear layer of the language model but the head."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.05, ge=0.0, lt=1.0)


class StageSettings(Section):
    """One training stage.

    ``trainable`` names parts: vision, text_encoder, projector, language, lora. ``steps`` overrides
    ``epochs`` where it is set. ``batch_size`` is global: per device times devices times
    accumulation.
    """

    name: str
    kind: StageKind
    trainable: tuple[Literal["vision", "text_encoder", "projector", "language", "lora"], ...]
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: float = Field(default=0.03, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    lora: LoraSettings | None = None
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    deepspeed_zero: Literal[0, 2, 3] = 0
    prompt: Literal["image-only", "turns"] = "turns"
    save_steps: int = Field(default=500, ge=1)
    seed: int = 0
