"""BiomedCLIP-CXR: an image tower (DINOv2 at paper scale) and a BERT text tower in one space.

Shapes: B pairs, H×W image in px, T text tokens, E embedding width. At paper scale ViT-B/14 at
518 px, BERT base, E = 512: 197,274,369 parameters (image tower 86,579,712; text tower 109,482,240
with its unused pooler; heads 393,216 + 819,200; logit scale 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, PretrainedConfig, VisionTextDualEncoderConfig
from transformers.models.clip.modeling_clip import CLIPOutput
from transformers.models.vision_text_dual_encoder import VisionTextDualEncoderModel

from infra.settings.stages import ModelSettings, TextEncoderSettings
from models.objectives import contrastive_loss
from models.temperature import inverse_temperature
from models.towers import initial_spread, tower_config

DUAL_ENCODER_TYPE = "cxr-dual-encoder"
POOLING_PARTS = frozenset({"head", "post_layernorm"})
"""What pools in SigLIP's and CLIP's tower; no path leads through it where all patches are read."""


class CxrDualEncoderConfig(VisionTextDualEncoderConfig):  # type: ignore[misc]
    """Adds the hidden width of the text head, and what the image head reads (VisionSettings)."""

    model_type = DUAL_ENCODER_TYPE
    projection_hidden: int = 640
    image_pooling: str = "tower"


class TextHead(nn.Module):
    """Text embedding: linear, GELU, linear, without biases."""

    def __init__(self, width: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, hidden, bias=False)
        self.linear_2 = nn.Linear(hidden, embedding, bias=False)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """[B, text width] → [B, E]."""
        embedded: torch.Tensor = self.linear_2(functional.gelu(self.linear_1(pooled)))
        return embedded


def patches_of(vision: PretrainedConfig) -> int:
    """Patches of one image; in a tower's states they stand last, after CLS where there is one."""
    return int(vision.image_size // vision.patch_size) ** 2


@dataclass
class DualEncoderOutput(CLIPOutput):  # type: ignore[misc]
    """CLIP's output and the temperature's logarithm, scalar, as the parameter holds it."""

    log_scale: Any = None


class CxrDualEncoder(VisionTextDualEncoderModel):  # type: ignore[misc]
    """The dual encoder; texts are pooled by their first token's last hidden state."""

    config_class = CxrDualEncoderConfig
    # Half-precision loading leaves it in float32: in bfloat16 the steps of a logarithm of 4.6 are
    # 3 % of the temperature. DeepSpeed casts every parameter: StageSettings refuses it there.
    _keep_in_fp32_modules_strict = ("logit_scale",)

    def __init__(self, config: CxrDualEncoderConfig, **towers: Any) -> None:
        super().__init__(config, **towers)
        self.text_projection = TextHead(
            config.text_config.hidden_size, config.projection_hidden, config.projection_dim
        )
        if config.image_pooling == "patches":
            width = patches_of(config.vision_config) * config.vision_config.hidden_size
            self.visual_projection = nn.Linear(width, config.projection_dim, bias=False)
            for name in POOLING_PARTS & dict(self.vision_model.named_children()).keys():
                self.vision_model.get_submodule(name).requires_grad_(False)
        self.post_init()
        # The pooler is part of the published checkpoint but no path leads through it.
        self.text_model.pooler.requires_grad_(False)

    def embed_images(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Unit image embeddings: [B, 3, H, W] → [B, E]; what the tower pools, projected.

        DINOv2 and CLIP pool by the final norm's CLS token, SigLIP by an attention head. Where all
        patches are read, each place of the film has weights of its own.
        """
        states = self.vision_model(pixel_values=pixel_values)
        if self.config.image_pooling == "patches":
            patches = patches_of(self.config.vision_config)
            pooled = states.last_hidden_state[:, -patches:].flatten(1)
        else:
            pooled = states.pooler_output
        return functional.normalize(self.visual_projection(pooled).float(), dim=-1)

    def embed_texts(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Unit text embeddings: [B, T] ids and mask → [B, E]."""
        states = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        pooled = states.last_hidden_state[:, 0]
        return functional.normalize(self.text_projection(pooled).float(), dim=-1)

    def forward(
        self,
        pixel_values: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        group_keys: torch.Tensor | None = None,
        text_keys: torch.Tensor | None = None,
    ) -> DualEncoderOutput:
        """Embeddings, and the loss where the keys are given.

        All ranks' pairs are negatives, so all ranks call together.

        Args:
            pixel_values: [B, 3, H, W], normalised.
            input_ids, attention_mask: [B, T].
            group_keys: [B] equal for images and texts of one study (or one subject), which are no
                negatives.
            text_keys: [B] equal for equal texts, which are no negatives either.
        """
        images = self.embed_images(pixel_values)
        texts = self.embed_texts(input_ids, attention_mask)
        scale = inverse_temperature(self.logit_scale)
        logits = scale * images @ texts.t()
        loss = None
        if group_keys is not None and text_keys is not None:
            loss = contrastive_loss(images, texts, scale, group_keys, text_keys)
        return DualEncoderOutput(
            loss=loss,
            logits_per_image=logits,
            logits_per_text=logits.t(),
            image_embeds=images,
            text_embeds=texts,
            log_scale=self.logit_scale,
        )


def bert_config(text: TextEncoderSettings, vocabulary: int) -> BertConfig:
    """The text tower's configuration."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=text.width,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        intermediate_size=4 * text.width,
        max_position_embeddings=text.positions,
        hidden_dropout_prob=text.dropout,
        attention_probs_dropout_prob=text.dropout,
        initializer_range=initial_spread(text.width),
    )


def dual_encoder_config(
    models: ModelSettings, vocabulary: int, published_tower: Path | None = None
) -> CxrDualEncoderConfig:
    """Shapes of the whole dual encoder; ``vocabulary`` is the text tokenizer's."""
    return CxrDualEncoderConfig(
        vision_config=tower_config(models.vision, published_tower).to_dict(),
        text_config=bert_config(models.text_tower, vocabulary).to_dict(),
        projection_dim=models.embedding,
        projection_hidden=models.text_tower.projection_hidden,
        image_pooling=models.vision.pooling,
    )
