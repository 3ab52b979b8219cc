"""A frozen language model in 4 bits (NF4) while LoRA trains beside it: QLoRA.

Needs bitsandbytes and a CUDA device. What is saved is never in 4 bits: the adapter is laid on the
unquantized weights again and merged there, so that the export has no rounding but its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import BitsAndBytesConfig, LlavaForConditionalGeneration

from infra.errors import Unavailable
from infra.weights import require_nf4_package
from models.projector import vlm_class
from models.vlm import read_vlm_config, silent_peft
from models.whole import load_whole

UNQUANTIZED = ("model.vision_tower", "model.multi_modal_projector", "lm_head")
"""Modules that keep their type: the tower and projector are small, and the head decides.

transformers holds a name against these from its start or by its end, so they are whole names.
"""


def require_nf4() -> None:
    """Check that frozen weights can be held in 4 bits here.

    Raises:
        Unavailable: bitsandbytes or a CUDA device is missing.
    """
    require_nf4_package()
    if not torch.cuda.is_available():
        raise Unavailable(
            "quantize 'nf4': no CUDA device; train on a GPU, or set the stage's quantize to 'none'"
        )


def load_vlm_nf4(folder: Path, dtype: torch.dtype) -> LlavaForConditionalGeneration:
    """A saved VLM on this rank's GPU: the language model's linear layers in NF4, the rest as saved.

    NF4 with double quantization is QLoRA's own choice (arXiv 2305.14314); ``dtype`` is the type it
    computes in.

    Raises:
        InputError: the folder holds no whole VLM.
        Unavailable: bitsandbytes or a CUDA device is missing.
    """
    require_nf4()
    return nf4_on(int(os.environ.get("LOCAL_RANK", "0")), folder, dtype)


def nf4_on(device: int | str, folder: Path, dtype: torch.dtype) -> LlavaForConditionalGeneration:
    """``load_vlm_nf4`` on a GPU's number or another device, not asked whether it is fit for it."""
    config = read_vlm_config(folder)
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(UNQUANTIZED),
    )
    vlm: LlavaForConditionalGeneration = load_whole(
        vlm_class(config),
        folder,
        dtype=dtype,
        quantization_config=four_bits,
        device_map={"": device},
    )
    return vlm


def merge_adapter(
    vlm: LlavaForConditionalGeneration, adapter: Path
) -> LlavaForConditionalGeneration:
    """A VLM with unquantized weights and an adapter's folder → the VLM with the adapter merged."""
    from peft import PeftModel

    with silent_peft():
        merged: LlavaForConditionalGeneration = PeftModel.from_pretrained(
            vlm, str(adapter)
        ).merge_and_unload()
    return merged
