"""CXR-SD's networks, ``[models.diffusion]``: an autoencoder, a UNet in its latents, and the guide.

At ``paper`` scale all but the guide are published weights, a folder in diffusers' layout; at
``tiny`` scale they are trained from nothing, in the shapes that are told here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from infra.settings.sections import LARGEST_GUIDANCE, Section

Fit = Literal["crop", "pad", "stretch"]
DIFFUSION_KINDS: tuple[str, ...] = ("autoencode", "diffuse", "guide")
"""Kinds of stage that train a part of CXR-SD."""
_OF_THE_AUTOENCODER = ("weights", "image_px", "fit", "autoencoder")
_OF_THE_GUIDE = ("guide", "hint_reach", "hint_weight", "hint_steps")


class AutoencoderSettings(Section):
    """Film → latents and back (diffusers' ``AutoencoderKL``).

    ``patch_px`` x ``patch_px`` grey values are one place with as many channels before the first
    convolution: convolutions at a film's full size would take most of a small machine's time. Each
    level but the last halves the places. ``channels`` are multiples of ``groups``. ``begins`` says
    from which weights it is trained: ``random`` ones, or the principal ``components`` of patches,
    which is for one level (``models.patch_components``).
    """

    channels: tuple[int, ...] = Field(min_length=1)
    layers: int = Field(default=1, ge=1)
    latent_channels: int = Field(ge=1)
    groups: int = Field(default=8, ge=1)
    patch_px: int = Field(default=1, ge=1)
    kl_weight: float = Field(default=1e-4, ge=0.0)
    edge_weight: float = Field(default=0.5, ge=0.0)
    begins: Literal["random", "components"] = "random"

    @model_validator(mode="after")
    def _whole_groups(self) -> AutoencoderSettings:
        _require_groups("autoencoder", self.channels, self.groups)
        if self.begins == "components":
            self._require_room_for_components()
        return self

    def _require_room_for_components(self) -> None:
        """Each group carries as many components with both signs, and an even number of constants
        beside them, as each other."""
        carried = 2 * self.latent_channels
        if len(self.channels) != 1:
            raise ValueError("an autoencoder that begins as components has one level of channels")
        if self.latent_channels > self.patch_px**2:
            raise ValueError(
                f"patches of {self.patch_px} px have no {self.latent_channels} components"
            )
        free = self.channels[0] - carried
        if carried % self.groups or free < 1 or free % (2 * self.groups):
            raise ValueError(
                f"autoencoder.channels {self.channels[0]} less {carried} for {self.latent_channels}"
                f" components are to be a multiple of {2 * self.groups}, and {carried} one of"
                f" {self.groups} groups"
            )

    @property
    def shrinks(self) -> int:
        """Pixels along a side of one latent place."""
        return int(self.patch_px * 2 ** (len(self.channels) - 1))


class UnetSettings(Section):
    """Noisy latents → noise (diffusers' ``UNet2DConditionModel``): ``channels`` and attention
    ``heads`` of each level; ``attends`` says which levels read the text, None all of them."""

    channels: tuple[int, ...] = Field(min_length=1)
    heads: tuple[int, ...] = Field(min_length=1)
    attends: tuple[bool, ...] | None = None
    layers: int = Field(default=1, ge=1)
    groups: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _levels_fit(self) -> UnetSettings:
        _require_groups("unet", self.channels, self.groups)
        levels = len(self.channels)
        if len(self.heads) != levels or len(self.attends or self.channels) != levels:
            raise ValueError(f"unet has {levels} channels, and other numbers of heads or attends")
        for width, heads in zip(self.channels, self.heads, strict=True):
            if heads < 1 or width % heads:
                raise ValueError(f"unet.channels {width} is no multiple of its {heads} heads")
        return self


class NoiseSettings(Section):
    """How latents drown in noise, in steps 0 to ``steps - 1``.

    The defaults are Stable Diffusion's. ``to_the_end`` rescales the schedule so that nothing of the
    film is left in the last step, where drawing begins; noise cannot be predicted from that, so
    that ``prediction`` must be v.
    """

    steps: int = Field(default=1000, ge=2)
    beta_start: float = Field(default=0.00085, gt=0.0, lt=1.0)
    beta_end: float = Field(default=0.012, gt=0.0, lt=1.0)
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    to_the_end: bool = False

    @model_validator(mode="after")
    def _can_be_predicted(self) -> NoiseSettings:
        if self.beta_end < self.beta_start:
            raise ValueError(f"beta_end {self.beta_end} is below beta_start {self.beta_start}")
        if self.to_the_end and self.prediction == "epsilon":
            raise ValueError("noise to_the_end needs prediction 'v_prediction'")
        return self


class DiffusionSettings(Section):
    """CXR-SD.

    ``weights`` names a published pipeline, found as a folder under the run's weights root: its
    autoencoder, UNet, text encoder, tokenizer and noise schedule are then taken as they are, and no
    shapes are told here. Without it the text encoder is the text tower of the ``pretrain`` stage
    that a ``diffuse`` stage starts from.

    ``guide`` is what a ``guide`` stage trains: a copy of the UNet's encoder behind
    ``zero-convolutions``, as MedXChat's figure has it, or the UNet's own ``decoder``, as its
    released code does. ``base_prompts`` says what the base reads in a ``diffuse`` stage:
    ``empty`` prompts or the ``reports``. With ``hint_reach`` the guide first tells each token what
    so many tokens on either side of it say, twice (``models.guided_unet``): for text encoders that
    are too small to have done so; 0 for all others. With ``hint_weight`` the hint
    also guesses a film's latents from its text alone, by a loss of its own of that weight, and what
    it guesses is added to what the guide predicts (``models.text_hint``): through noise a small
    guide learns what a text shows ten times slower. The first ``hint_steps`` of a guide stage train
    the hint's guess alone, each for about a tenth of the other steps' time. A prompt of more than
    ``context_tokens`` is read in pieces (``models.prompt_states``), never cut.
    """

    weights: str = ""
    image_px: int = Field(ge=8)
    fit: Fit = "crop"
    autoencoder: AutoencoderSettings | None = None
    unet: UnetSettings | None = None
    noise: NoiseSettings = NoiseSettings()
    guide: Literal["zero-convolutions", "decoder"] = "zero-convolutions"
    base_prompts: Literal["empty", "reports"] = "empty"
    hint_reach: int = Field(default=0, ge=0)
    hint_weight: float = Field(default=0.0, ge=0.0)
    hint_steps: int = Field(default=0, ge=0)
    context_tokens: int = Field(default=77, ge=8)

    @model_validator(mode="after")
    def _shapes_are_told_once(self) -> DiffusionSettings:
        if self.guide == "decoder" and (self.hint_reach or self.hint_weight):
            raise ValueError("diffusion.guide 'decoder' has no hint: leave hint_* at 0")
        if self.hint_steps and not self.hint_weight:
            raise ValueError("diffusion.hint_steps train what a hint guesses: set hint_weight")
        told = self.autoencoder is not None and self.unet is not None
        if self.weights:
            if self.autoencoder is not None or self.unet is not None:
                raise ValueError("diffusion.weights bring their own autoencoder and unet")
        elif not told:
            raise ValueError("diffusion without weights needs an autoencoder and a unet")
        else:
            _require_places(self)
        return self


GuideParts = Literal["all", "guess", "convolutions"]


class DrawSettings(Section):
    """How films are drawn: DDIM ``steps``, and ``guidance``, 1 for none.

    The defaults are those of MedXChat's released code. ``guide_parts`` draws with one of a
    trained guide's two ways into a film, the hint's guess or the zero convolutions, to tell what
    each is worth.
    """

    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=1.1, ge=0.0, le=LARGEST_GUIDANCE)
    batch_size: int = Field(default=16, ge=1)
    guide_parts: GuideParts = "all"


def _require_places(diffusion: DiffusionSettings) -> None:
    """Films divide into latent places, and those into the UNet's lowest level."""
    assert diffusion.autoencoder is not None and diffusion.unet is not None
    lowest = diffusion.autoencoder.shrinks * 2 ** (len(diffusion.unet.channels) - 1)
    if diffusion.image_px % lowest:
        raise ValueError(
            f"diffusion.image_px {diffusion.image_px} is no multiple of {lowest}, the pixels along "
            "a place of the unet's last level"
        )


def _require_groups(part: str, channels: tuple[int, ...], groups: int) -> None:
    for width in channels:
        if width < 1 or width % groups:
            raise ValueError(f"{part}.channels {width} is no multiple of its {groups} groups")


def touched_by(kind: str, diffusion: dict[str, Any]) -> dict[str, Any]:
    """What of dumped ``DiffusionSettings`` a stage of that kind depends on.

    How the guide is built changes nothing in the base, nor the UNet in the autoencoder.
    """
    if kind == "autoencode":
        return {name: diffusion[name] for name in _OF_THE_AUTOENCODER}
    if kind == "diffuse":
        return {name: value for name, value in diffusion.items() if name not in _OF_THE_GUIDE}
    return diffusion
