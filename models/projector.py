"""The projector: image features of the vision tower's width → the language model's width.

Shapes: B images, N image tokens, V vision width, L language width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from models.resampler import Resampler

ProjectorKind = Literal["mlp2x_gelu", "linear", "resampler"]


class LinearProjector(nn.Module):
    """One linear layer: LLaVA's first projector, kept for ablations."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(
            config.vision_config.hidden_size,
            config.text_config.hidden_size,
            bias=config.multimodal_projector_bias,
        )

    def forward(self, image_features: torch.Tensor) -> torch.Tensor:
        """[B, N, V] → [B, N, L]."""
        projected: torch.Tensor = self.linear(image_features)
        return projected


class LinearProjectorLlava(LlavaForConditionalGeneration):  # type: ignore[misc]
    """LLaVA with a linear projector; ``mlp2x_gelu`` is Hugging Face's own and needs no subclass."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = LinearProjector(config)


class ResamplerLlava(LlavaForConditionalGeneration):  # type: ignore[misc]
    """LLaVA whose images take as many tokens as the resampler has queries, whatever their size."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = Resampler(config)


VLM_OF_PROJECTOR: dict[ProjectorKind, type[LlavaForConditionalGeneration]] = {
    "mlp2x_gelu": LlavaForConditionalGeneration,
    "linear": LinearProjectorLlava,
    "resampler": ResamplerLlava,
}


def draw_projector(vlm: LlavaForConditionalGeneration) -> None:
    """Give a VLM a new projector of its own kind, float32 on the CPU.

    Hugging Face's own is drawn as transformers draws it within a whole model; ours draw themselves.
    """
    fresh = type(projector_of(vlm))(vlm.config)
    if isinstance(fresh, LlavaMultiModalProjector):
        fresh.apply(vlm.model._init_weights)
    vlm.model.multi_modal_projector = fresh


def projector_of(vlm: LlavaForConditionalGeneration) -> nn.Module:
    """The projector inside a VLM."""
    projector: nn.Module = vlm.model.multi_modal_projector
    return projector


def vlm_class(config: LlavaConfig) -> type[LlavaForConditionalGeneration]:
    """The class that a saved VLM's configuration names in ``projector_kind``."""
    kind: ProjectorKind = getattr(config, "projector_kind", "mlp2x_gelu")
    return VLM_OF_PROJECTOR[kind]
