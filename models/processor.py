"""Hugging Face's own pre-processing of one film, saved beside each model, so that users need none
of our code; it knows no layout of several films, nor the room that one may be shown in.

A test holds it equal to what training does (``shards.to_model_size``, ``collate.normalise``), but
for one pixel: where the long side exceeds the crop by 4 n + 3 px, Hugging Face's crop begins a
pixel before torchvision's, with which the released model was trained and which training repeats.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from transformers import CLIPImageProcessorPil, LlavaProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from infra.settings.stages import Fit, ModelSettings
from models.collate import CLIP_DEVIATION, CLIP_MEAN
from models.tokenizers import Tokenizer
from models.towers import feature_strategy

ImageProcessor: TypeAlias = CLIPImageProcessorPil | LlavaImageProcessorPil


def image_processor(side_px: int, fit: Fit = "crop") -> ImageProcessor:
    """Bicubic to ``side_px``, made square as the fit says, CLIP's mean and deviation.

    The processor that pads does so in the mean's colour, not in black.
    """
    square, short = {"height": side_px, "width": side_px}, {"shortest_edge": side_px}
    shared = {"image_mean": list(CLIP_MEAN), "image_std": list(CLIP_DEVIATION), "crop_size": square}
    found: ImageProcessor
    if fit == "crop":
        found = CLIPImageProcessorPil(size=short, **shared)
    elif fit == "stretch":
        found = CLIPImageProcessorPil(size=square, do_center_crop=False, **shared)
    else:
        found = LlavaImageProcessorPil(do_pad=True, size=short, **shared)
    return found


def vlm_processor(models: ModelSettings, tokenizer: Tokenizer) -> LlavaProcessor:
    """Images and prompts of a VLM.

    The processor counts an image's tokens as its patches, plus the additional ones, less one under
    the strategy ``default``; the additional ones are chosen so that ``image_tokens`` comes out.
    """
    strategy = feature_strategy(models.vision)
    dropped = 1 if strategy == "default" else 0
    return LlavaProcessor(
        image_processor=image_processor(models.vision.image_px, models.vision.fit),
        tokenizer=tokenizer,
        patch_size=models.vision.patch_px,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=models.image_tokens - models.vision.patches + dropped,
    )


def save_image_processor(side_px: int, folder: Path, fit: Fit = "crop") -> None:
    """Write ``preprocessor_config.json``."""
    image_processor(side_px, fit).save_pretrained(folder)


def save_vlm_processor(models: ModelSettings, tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``processor_config.json`` and the tokenizer."""
    vlm_processor(models, tokenizer).save_pretrained(folder)
