"""A text-to-film pipeline as a folder in diffusers' layout, as Stable Diffusion is published.

    model_index.json     which class reads which part
    vae/ unet/ scheduler/ text_encoder/ tokenizer/
    controlnet/ hint/    the guide, where it has zero convolutions (models.guided_unet)
    config.json          what else drawing needs: image side, limit of the text encoder, guide;
                         and which views the stage was shown, of how many examples each

A stage writes every part that is known by then, so that its folder can be read alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel
from transformers.models.bert import BertModel

from infra.child import write_json
from infra.errors import InputError
from infra.runs import TrainRun
from infra.weights import weights_folder
from models.dual_encoder import DUAL_ENCODER_TYPE, CxrDualEncoder
from models.guided_unet import GuidedUnet
from models.tokenizers import Tokenizer, load_tokenizer, save_tokenizer
from models.weights import has_input_of_type, input_of_type, model_type
from models.whole import ADVICE, UNREADABLE, load_tensors, load_whole, require_finite, unreadable

CXR_SD_TYPE = "cxr-sd"
INDEX = "model_index.json"
_WEIGHTS = "model.safetensors"
_FACTS = ("image_px", "context_tokens", "guide", "hint_reach", "hint_guesses", "base_prompts")
"""What drawing reads in ``config.json``."""
_CLASSES = {
    "vae": ("diffusers", "AutoencoderKL"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "scheduler": ("diffusers", "DDIMScheduler"),
    "controlnet": ("diffusers", "ControlNetModel"),
}


def part_folder(run: TrainRun, part: str) -> Path:
    """Where a part of the pipeline lies: in an earlier stage's folder, or in published weights.

    Raises:
        InputError: in neither.
        Unavailable: the published weights are not there.
    """
    for folder in run.inputs.values():
        if (folder / part).is_dir():
            return folder / part
    name = run.models.drawing.weights
    if name:
        published = weights_folder(run.weights_root, name, INDEX)
        if (published / part).is_dir():
            return published / part
        raise InputError(f"no {part} in {published}", "a pipeline in diffusers' layout", ADVICE)
    raise InputError(
        f"no {part} in the inputs of stage '{run.stage.name}'",
        "the folder of a stage that makes it",
        "name that stage in starts_from",
    )


def load_part(kind: Any, folder: Path) -> Any:
    """``kind.from_pretrained(folder)`` of diffusers, whole or refused.

    Raises:
        InputError: it cannot be read, lacks a tensor or has one of another shape, or holds values
            that are no numbers.
    """
    try:
        model, told = kind.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, use_safetensors=True
        )
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    lacking = sorted(told["missing_keys"]) + [str(each[0]) for each in told["mismatched_keys"]]
    if lacking:
        raise InputError(f"no fitting tensor '{lacking[0]}' in {folder}", "a whole model", ADVICE)
    require_finite(model.state_dict(), folder)
    return model


def load_autoencoder(folder: Path) -> Any:
    """Of a ``vae`` folder."""
    return load_part(AutoencoderKL, folder)


def load_unet(folder: Path) -> Any:
    """Of a ``unet`` folder."""
    return load_part(UNet2DConditionModel, folder)


def load_schedule(folder: Path) -> Any:
    """The schedule of a ``scheduler`` folder, drawn from by DDIM whatever sampler it names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return DDIMScheduler.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise unreadable(folder, error) from error


def load_text(run: TrainRun) -> tuple[Any, Tokenizer]:
    """The text encoder and its tokenizer: the pipeline's, or the text tower of a dual encoder,
    which a published UNet would not understand."""
    if not run.models.drawing.weights and has_input_of_type(run, DUAL_ENCODER_TYPE):
        folder = input_of_type(run, DUAL_ENCODER_TYPE)
        dual: Any = load_whole(CxrDualEncoder, folder)
        return dual.text_model, load_tokenizer(folder)
    folder = part_folder(run, "text_encoder")
    return load_text_encoder(folder), load_tokenizer(folder.parent / "tokenizer")


def load_text_encoder(folder: Path) -> Any:
    """CLIP's, or a BERT.

    Raises:
        InputError: it is of another type, or cannot be read.
    """
    kinds = {"clip_text_model": CLIPTextModel, "bert": BertModel}
    found = model_type(folder)
    if found not in kinds:
        raise InputError(
            f"a text encoder of type '{found}' in {folder}", f"one of {', '.join(kinds)}", ADVICE
        )
    return load_whole(kinds[found], folder)


def load_guide(guided: GuidedUnet, pipeline: Path) -> None:
    """The guide of a pipeline's folder, into a model around its base.

    Raises:
        InputError: it cannot be read, or belongs to another base.
    """
    for part, name in (("controlnet", "diffusion_pytorch_model.safetensors"), ("hint", _WEIGHTS)):
        module = guided.guide if part == "controlnet" else guided.hint
        file = pipeline / part / name
        if not file.is_file():
            raise InputError(f"no {file}", "a pipeline with a guide", ADVICE)
        try:
            module.load_state_dict(load_tensors(file), strict=True)
        except RuntimeError as error:
            raise unreadable(file, error) from error


def save_guide(guided: GuidedUnet, pipeline: Path) -> None:
    """The guide's two parts."""
    guided.guide.save_pretrained(pipeline / "controlnet")
    (pipeline / "hint").mkdir(parents=True, exist_ok=True)
    state = {name: each.contiguous() for name, each in guided.hint.state_dict().items()}
    save_file(state, pipeline / "hint" / _WEIGHTS)


def save_text(encoder: Any, tokenizer: Tokenizer, pipeline: Path) -> None:
    """The text encoder and its tokenizer."""
    encoder.save_pretrained(pipeline / "text_encoder")
    save_tokenizer(tokenizer, pipeline / "tokenizer")


def write_index(pipeline: Path, facts: dict[str, object], text_encoder: Any = None) -> None:
    """``model_index.json`` and ``config.json``, last.

    Args:
        facts: what drawing needs beside the parts.
    """
    index: dict[str, object] = {"_class_name": "StableDiffusionPipeline"}
    index |= {part: list(told) for part, told in _CLASSES.items() if (pipeline / part).is_dir()}
    if text_encoder is not None:
        index["text_encoder"] = ["transformers", type(text_encoder).__name__]
    write_json(pipeline / INDEX, index)
    write_json(pipeline / "config.json", {"model_type": CXR_SD_TYPE, **facts})


def read_facts(pipeline: Path) -> dict[str, Any]:
    """``config.json`` of a pipeline that a stage wrote.

    Raises:
        InputError: it is another model's, or none.
    """
    if model_type(pipeline) != CXR_SD_TYPE:
        raise InputError(
            f"a model of type '{model_type(pipeline)}' in {pipeline}",
            f"{CXR_SD_TYPE}, as a guide or diffuse stage makes it",
            "name such a stage's folder",
        )
    facts: dict[str, Any] = json.loads((pipeline / "config.json").read_text())
    lacking = [name for name in _FACTS if name not in facts]
    if lacking:
        raise InputError(
            f"no '{lacking[0]}' in {pipeline / 'config.json'}",
            "a pipeline that draws, as a guide or diffuse stage makes it",
            "name such a stage's folder; an autoencoder alone draws nothing",
        )
    return facts
