"""Hugging Face's own pre-processing, saved beside each model, so that users need none of our code.

A test holds it equal to what training does (``shards.to_model_size``, ``collate.normalise``), but
for one pixel: where the long side exceeds the crop by 4 n + 3 px, Hugging Face's crop begins a
pixel before torchvision's, with which the released model was trained and which training repeats.
"""

from __future__ import annotations

from pathlib import Path

from transformers import CLIPImageProcessorPil, LlavaProcessor

from infra.settings.stages import ModelSettings
from models.collate import CLIP_DEVIATION, CLIP_MEAN
from models.tokenizers import Tokenizer
from models.towers import feature_strategy


def image_processor(side_px: int) -> CLIPImageProcessorPil:
    """Short side to ``side_px`` bicubic, centre crop, CLIP's mean and deviation."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": side_px},
        crop_size={"height": side_px, "width": side_px},
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_DEVIATION),
    )


def vlm_processor(models: ModelSettings, tokenizer: Tokenizer) -> LlavaProcessor:
    """Images and prompts of a VLM.

    The processor counts an image's tokens as its patches, plus the additional ones, less one under
    the strategy ``default``; the additional ones are chosen so that ``image_tokens`` comes out.
    """
    strategy = feature_strategy(models.vision)
    dropped = 1 if strategy == "default" else 0
    return LlavaProcessor(
        image_processor=image_processor(models.vision.image_px),
        tokenizer=tokenizer,
        patch_size=models.vision.patch_px,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=models.image_tokens - models.vision.patches + dropped,
    )


def save_image_processor(side_px: int, folder: Path) -> None:
    """Write ``preprocessor_config.json``."""
    image_processor(side_px).save_pretrained(folder)


def save_vlm_processor(models: ModelSettings, tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``processor_config.json`` and the tokenizer."""
    vlm_processor(models, tokenizer).save_pretrained(folder)
