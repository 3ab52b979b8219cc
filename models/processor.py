"""Hugging Face's own pre-processing, saved beside each model, so that users need none of our code.

A test holds it equal to what training does (``shards.to_model_size``, ``collate.normalise``).
"""

from __future__ import annotations

from pathlib import Path

from transformers import CLIPImageProcessorPil, LlavaProcessor

from infra.settings.stages import VisionSettings
from models.collate import CLIP_DEVIATION, CLIP_MEAN
from models.tokenizers import Tokenizer


def image_processor(side_px: int) -> CLIPImageProcessorPil:
    """Short side to ``side_px`` bicubic, centre crop, CLIP's mean and deviation."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": side_px},
        crop_size={"height": side_px, "width": side_px},
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_DEVIATION),
    )


def vlm_processor(vision: VisionSettings, tokenizer: Tokenizer) -> LlavaProcessor:
    """Images and prompts of a VLM; one CLS token is dropped from the features."""
    return LlavaProcessor(
        image_processor=image_processor(vision.image_px),
        tokenizer=tokenizer,
        patch_size=vision.patch_px,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def save_image_processor(side_px: int, folder: Path) -> None:
    """Write ``preprocessor_config.json``."""
    image_processor(side_px).save_pretrained(folder)


def save_vlm_processor(vision: VisionSettings, tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``processor_config.json`` and the tokenizer."""
    vlm_processor(vision, tokenizer).save_pretrained(folder)
