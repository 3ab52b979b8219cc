"""The training stages of a recipe: ``[[stages]]`` tables and the ``[models.*]`` shapes.

A stage is data: what kind it is, what it starts from, what is trainable, for how long, on which
text. The same code runs at every scale.
"""

from __future__ import annotations

from math import isqrt
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from infra.settings.diffusion import DIFFUSION_KINDS, DiffusionSettings
from infra.settings.diffusion import Fit as Fit
from infra.settings.sections import NAME, Name, Route, Section, Seed, Share

StageKind = Literal["language", "pretrain", "align", "finetune", "autoencode", "diffuse", "guide"]
Part = Literal[
    "vision", "text_encoder", "projector", "language", "lora", "autoencoder", "unet", "guide"
]

ImageLayout = Literal["first", "stitch", "stitch-equal-height", "grid", "separate"]
Learned = Literal["last-answer", "answers", "everything"]
LoraLayer = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Negatives = Literal["other-studies", "other-subjects"]

PARTS_OF_KIND: dict[StageKind, frozenset[Part]] = {
    "language": frozenset({"language"}),
    "pretrain": frozenset({"vision", "text_encoder"}),
    "align": frozenset({"projector"}),
    "finetune": frozenset({"vision", "projector", "language", "lora"}),
    "autoencode": frozenset({"autoencoder"}),
    "diffuse": frozenset({"unet"}),
    "guide": frozenset({"guide"}),
}
"""Which parts a stage of each kind may train."""

LORA_LAYERS: tuple[LoraLayer, ...] = get_args(LoraLayer)
"""Every linear layer of a block, as in LLaVA's training code."""


def _require_whole_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"width {width} is no multiple of heads {heads}")


class VisionSettings(Section):
    """The vision tower.

    ``weights`` names published weights, found as a folder under the run's weights root; empty means
    random initial weights. ``feature_layer`` counts hidden states from the end; the CLS token that
    DINOv2 and CLIP have (SigLIP has none) is dropped from them. ``pooling`` is what the dual
    encoder's image embedding is projected from: the ``tower``'s own one vector, or all ``patches``
    end to end, so that a small tower need not learn to carry each place's findings into CLS. Its
    head has patches x width x embedding weights: for few patches. ``fit`` says how a film becomes
    square, and ``layout`` what is shown of several films (``models.canvas``), with ``gutter_px`` of
    the stored films between those stitched. ``room_for`` widens a strip of fewer films with black
    as if it held so many, so that a film alone is shown as large as one of a strip.
    """

    architecture: Literal["dinov2", "clip", "siglip"] = "dinov2"
    weights: str = ""
    image_px: int = Field(ge=14)
    patch_px: int = Field(ge=4)
    width: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    feature_layer: int = Field(default=-2, le=-1)
    pooling: Literal["tower", "patches"] = "tower"
    fit: Fit = "crop"
    layout: ImageLayout = "first"
    gutter_px: int = Field(default=10, ge=0, le=1000)
    room_for: int = Field(default=1, ge=1, le=16)

    @property
    def patches(self) -> int:
        """Patches of one image; what the language model sees is ``ModelSettings.image_tokens``."""
        return (self.image_px // self.patch_px) ** 2

    @model_validator(mode="after")
    def _whole_patches(self) -> VisionSettings:
        if self.image_px % self.patch_px:
            raise ValueError(f"image_px {self.image_px} is no multiple of patch_px {self.patch_px}")
        _require_whole_heads(self.width, self.heads)
        if -self.feature_layer > self.layers + 1:
            raise ValueError(f"feature_layer {self.feature_layer} with {self.layers} layers")
        if self.room_for > 1 and self.layout in ("grid", "separate"):
            raise ValueError(f"room_for {self.room_for} in layout {self.layout}, which is no strip")
        return self


class TextEncoderSettings(Section):
    """The dual encoder's text tower (BERT); texts are cut at ``context_tokens``.

    ``dropout`` is BERT's own 0.1; without any, a stage's losses do not depend on how many ranks
    draw it.
    """

    weights: str = ""
    width: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    context_tokens: int = Field(default=256, ge=8)
    positions: int = Field(default=512, ge=8)
    vocabulary: int = Field(default=30522, ge=256)
    projection_hidden: int = Field(default=640, ge=8)

    @model_validator(mode="after")
    def _whole_heads(self) -> TextEncoderSettings:
        _require_whole_heads(self.width, self.heads)
        if self.context_tokens > self.positions and not self.weights:
            raise ValueError(
                f"context_tokens {self.context_tokens} with {self.positions} positions"
            )
        return self


class LanguageSettings(Section):
    """The language model.

    ``key_value_heads`` counts the heads that queries share; None gives each its own. Published
    weights bring shapes of their own, and these here are then not read. ``vocabulary`` is without
    the image token, which the code adds. ``context_tokens`` limits the text before the image is
    expanded; ``positions`` the whole sequence.
    """

    architecture: Literal["llama", "qwen2", "mistral"] = "llama"
    weights: str = ""
    width: int = Field(ge=8)
    feed_forward: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    key_value_heads: int | None = Field(default=None, ge=1)
    vocabulary: int = Field(default=32000, ge=256)
    context_tokens: int = Field(default=2048, ge=32)
    positions: int = Field(default=4096, ge=32)

    @model_validator(mode="after")
    def _whole_heads(self) -> LanguageSettings:
        _require_whole_heads(self.width, self.heads)
        if self.width // self.heads % 2:  # rotary positions turn pairs of numbers
            raise ValueError(
                f"width {self.width} over heads {self.heads} is {self.width // self.heads}, odd"
            )
        if self.key_value_heads is not None and self.heads % self.key_value_heads:
            raise ValueError(
                f"heads {self.heads} is no multiple of key_value_heads {self.key_value_heads}"
            )
        return self


class ResamplerSettings(Section):
    """The projector ``resampler``: learned queries that read the patches, at the tower's width.

    The defaults are MedXChat's visual abstractor: 64 queries, 6 layers. With ``places`` the queries
    lie over the image as a square grid, and each begins by reading the patches where it lies.
    """

    queries: int = Field(default=64, ge=1)
    layers: int = Field(default=6, ge=1)
    places: bool = False

    @model_validator(mode="after")
    def _square_grid(self) -> ResamplerSettings:
        if self.places and isqrt(self.queries) ** 2 != self.queries:
            raise ValueError(f"resampler.places with {self.queries} queries, which is no square")
        return self


class ModelSettings(Section):
    """Shapes of the networks; ``resampler`` is read where ``projector`` names it, a recipe without
    a ``pretrain`` stage needs no ``text_encoder``, and one that draws nothing no ``diffusion``."""

    vision: VisionSettings
    text_encoder: TextEncoderSettings | None = None
    language: LanguageSettings
    embedding: int = Field(default=512, ge=8)
    projector: Literal["mlp2x_gelu", "linear", "resampler"] = "mlp2x_gelu"
    resampler: ResamplerSettings = ResamplerSettings()
    diffusion: DiffusionSettings | None = None

    @property
    def drawing(self) -> DiffusionSettings:
        """CXR-SD's, where there is one."""
        assert self.diffusion is not None, "a recipe with a stage that draws has diffusion"
        return self.diffusion

    @property
    def text_tower(self) -> TextEncoderSettings:
        """The dual encoder's, where there is one."""
        assert self.text_encoder is not None, "a recipe with a dual encoder has a text encoder"
        return self.text_encoder

    @property
    def image_tokens(self) -> int:
        """Tokens that one image takes in the language model's sequence."""
        return self.resampler.queries if self.projector == "resampler" else self.vision.patches


class LoraSettings(Section):
    """LoRA on linear layers of the language model's blocks: all of them, unless they are named."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.05, ge=0.0, lt=1.0)
    layers: tuple[LoraLayer, ...] = Field(default=LORA_LAYERS, min_length=1)


class StageSettings(Section):
    """One training stage.

    ``starts_from`` names the stages whose models it reads. ``trainable`` names parts. ``examples``
    names the sets that it is trained on, each with its share of the rows; none are the recipe's
    first. ``sources``
    and ``text_versions`` keep only examples of those sources and routes; None keeps all. ``share``
    is the part of their subjects that is trained on, always the same ones and all of a smaller
    share's. ``steps`` overrides ``epochs`` where it is set. ``batch_size`` is global: per device
    times devices times accumulation. ``device_batch_size`` bounds what one device sees at once;
    None cuts no batch into passes. A contrastive batch is cut by gradient caching, which leaves
    loss and gradients as they are.
    ``batches`` of one source leave a contrastive stage no shortcut: where they are mixed, a pair
    can be told from others by its source's look and style alone. ``packing`` lays a device's
    conversations end to end without padding; ``like-length`` batches waste less of it where
    packing is off, and mean nothing to pairs.
    ``weights`` names a ready model in place of one that the stage would make: nothing is trained,
    nothing is started from, and the folder is taken as it is. ``quantize`` holds the frozen
    language model in 4 bits (NF4) while LoRA is trained beside it.
    ``learn`` says what of a conversation is learned: the assistant's last answer, all its answers,
    or what the user says too.
    After every ``validate_steps`` and after the last step the loss on validate is taken, and the
    weights where it is lowest are kept; None takes it after the last step alone.
    ``negatives`` of a contrastive stage: a pair is held against pairs of other studies (two films
    of one subject differ in their findings alone, which is what is to be learned) or of other
    subjects (where follow-ups tell the same in other words).
    ``history`` of a stage that learns requests for films: that share of them stands behind another
    example, as in a conversation, and the same share of these behind one more.
    ``ema`` of a stage of CXR-SD: its weights are a running mean over steps, which keeps this share
    of what it was at each; None keeps the last step's own.
    """

    name: str = Field(pattern=NAME)
    kind: StageKind
    starts_from: tuple[str, ...] = ()
    trainable: tuple[Part, ...]
    examples: dict[Name, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    sources: tuple[str, ...] | None = Field(default=None, min_length=1)
    text_versions: tuple[Route, ...] | None = Field(default=None, min_length=1)
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    device_batch_size: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    batches: Literal["mixed", "one-source", "like-length"] = "mixed"
    packing: bool = True
    negatives: Negatives = "other-studies"
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_share: float = Field(default=0.03, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    lora: LoraSettings | None = None
    weights: str = ""
    quantize: Literal["none", "nf4"] = "none"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    deepspeed_zero: Literal[0, 2, 3] = 0
    prompt: Literal["image-only", "turns", "no-indication"] = "turns"
    learn: Learned = "last-answer"
    history: Share = 0.0
    save_steps: int = Field(default=500, ge=1)
    validate_steps: int | None = Field(default=None, ge=1)
    ema: float | None = Field(default=None, gt=0.0, lt=1.0)
    seed: Seed = 0

    @property
    def draws(self) -> bool:
        """Whether it trains a part of CXR-SD."""
        return self.kind in DIFFUSION_KINDS

    @model_validator(mode="after")
    def _consistent(self) -> StageSettings:
        strangers = set(self.trainable) - PARTS_OF_KIND[self.kind]
        if strangers:
            raise ValueError(f"a stage of kind {self.kind} cannot train {', '.join(strangers)}")
        if not self.trainable:
            raise ValueError("nothing is trainable")
        if (self.lora is not None) != ("lora" in self.trainable):
            raise ValueError("a lora table and 'lora' in trainable belong together")
        if self.quantize != "none" and (self.lora is None or "language" in self.trainable):
            raise ValueError("quantize holds frozen weights: it needs LoRA beside them")
        if self.kind == "pretrain" and self.deepspeed_zero and self.precision == "bfloat16":
            raise ValueError(
                f"deepspeed_zero {self.deepspeed_zero} with precision bfloat16 rounds a pretrain "
                "stage's temperature in steps of 3 %; set deepspeed_zero 0, or precision float32"
            )
        if len(self.examples) > 1 and self.batches != "mixed":
            raise ValueError(f"batches {self.batches} of several sets: they are mixed by share")
        if self.steps is None and self.epochs is None:
            raise ValueError("steps or epochs is needed")
        self._require_plain_diffusion()
        return self

    def _require_plain_diffusion(self) -> None:
        if not self.draws:
            if self.ema is not None:
                raise ValueError(f"a stage of kind {self.kind} keeps no running mean: no ema")
            return
        plain = {
            "deepspeed_zero": 0,
            "gradient_checkpointing": False,
            "weights": "",
            "batches": "mixed",
        }
        for name, value in plain.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is not there for a stage of kind {self.kind}")


def without_superseded(stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
    """The stages left to run: a ready one starts from nothing, and what led to it alone goes."""
    if not any(stage.weights for stage in stages):
        return stages
    kept: list[StageSettings] = []
    for stage in reversed(stages):
        users = {each.name for each in stages if stage.name in each.starts_from}
        if not users or users & {each.name for each in kept if not each.weights}:
            start = () if stage.weights else stage.starts_from
            kept.append(stage.model_copy(update={"starts_from": start}))
    return tuple(reversed(kept))
