"""CXR-SD: a frozen diffusion model, and a trained copy of its encoder that reads the report.

    report ─▶ text encoder ─▶ hint ─▶ zero convolution ─┐
    noisy latent ─▶ first convolution ─────────────────(+)─▶ copy of the encoder ─┐
                                                            zero convolutions ◀───┘
    noisy latent ─▶ frozen encoder ─▶ frozen decoder ◀─────────────┘

As MedXChat's figure draws it; how a text becomes a map to be added to a latent is not told there,
so the hint is our choice: each place of the latent asks the text with its own position. The copy
and its zero convolutions are ControlNet's. Shapes: B pictures, C channels and h x w places of the
latent, T tokens, D their width.
"""

from __future__ import annotations

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import nn

from infra.errors import InputError
from infra.settings.diffusion import GuideParts
from models.text_hint import TextHint


class GuidedUnet(nn.Module):
    """The frozen base and its guide; trains the guide alone.

    Args:
        base: predicts noise from a noisy latent, its time and token states.
        reach: of the hint's ``Neighbours``.
        guesses: whether the hint guesses latents too.
    """

    def __init__(
        self, base: UNet2DConditionModel, reach: int = 0, *, guesses: bool = False
    ) -> None:
        super().__init__()
        self.base: nn.Module = base  # type: ignore[assignment]  # its mixins hide that it is one
        self.base.requires_grad_(False)
        self.guide = ControlNetModel.from_unet(base)
        self.guide.controlnet_cond_embedding = nn.Identity()  # the hint is a map already
        shapes = dict(base.config)  # type: ignore[attr-defined]
        width, channels = shapes["cross_attention_dim"], shapes["block_out_channels"][0]
        guessed = (int(shapes["in_channels"]), int(shapes["sample_size"])) if guesses else None
        self.hint = TextHint(width, channels, reach=reach, guessed=guessed)
        self.parts: GuideParts = "all"

    def lead_by(self, parts: GuideParts) -> None:
        """Draw with these of the guide's parts alone; both are trained.

        Raises:
            InputError: the guide has no other than the zero convolutions.
        """
        if parts == "guess" and self.hint.guess is None:
            raise InputError(
                "guide_parts 'guess' and a guide that guesses nothing",
                "one trained with models.diffusion.hint_weight",
                "draw with all of its parts",
            )
        self.parts = parts

    def forward(
        self,
        latents: torch.Tensor,
        times: torch.Tensor,
        states: torch.Tensor,
        empty: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted noise [B, C, h, w].

        Args:
            latents: [B, C, h, w].
            times: [B] steps of the noise schedule.
            states: [B, T, D] of the report, for the guide.
            empty: [1 or B, T', D] of the prompt that the base was trained with.
        """
        read = self.hint.read(states, mask)
        mapped = self.hint.mapped(read, mask, (latents.shape[2], latents.shape[3]))
        down, middle = None, None
        if self.parts != "guess":
            down, middle = self.guide(
                latents,
                times,
                encoder_hidden_states=read,
                controlnet_cond=self.hint.zero(mapped),
                return_dict=False,
            )
        predicted: torch.Tensor = self.base(
            latents,
            times,
            encoder_hidden_states=empty.expand(len(latents), -1, -1),
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        if self.hint.guess is None or self.parts == "convolutions":
            return predicted
        said = self.hint.guess.said(mapped).detach()  # it learns of clean latents alone
        return predicted + self.hint.guess.opened(times) * said

    def trained(self) -> dict[str, nn.Parameter]:
        """What is learned, by name: the guide and the hint."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}
