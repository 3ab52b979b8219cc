"""LoRA and projector as LLaVA's trainer saved them ↔ one adapter in peft's present layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from transformers import LlavaForConditionalGeneration

from infra.errors import InputError
from infra.settings.sections import wanted
from infra.settings.stages import LORA_LAYERS, LoraSettings
from models.convert.files import read_checkpoint, read_json
from models.convert.layouts import lora, projector
from models.convert.pairs import State, require_shapes, to_ours, to_theirs
from models.projector import projector_of
from models.vlm import load_vlm, lora_config
from models.whole import ADVICE, load_tensors

ADAPTER_FILE = "adapter_model.safetensors"
PROJECTOR_NAME = re.compile(r"^(?P<prefix>(?:base_model\.)?(?:model\.)*)mm_projector\.")
PUBLISHED_PREFIX = "base_model.model.model."  # of the release's non_lora_trainables.bin
_ODD_LAYERS = ("rank_pattern", "alpha_pattern", "layers_to_transform", "modules_to_save")
"""Of peft's configuration: what would make some layers another LoRA than the others."""
_OURS = "base_model.model.model.multi_modal_projector."


def lora_settings(told: dict[str, Any], where: str) -> LoraSettings:
    """Rank, alpha and dropout of peft's configuration.

    Raises:
        InputError: it is no LoRA on the seven linear layers, or of a kind that is not known here.
    """
    targets = told.get("target_modules")
    targets = sorted(targets, key=str) if isinstance(targets, list) else targets
    told_and_known = [
        ("peft_type", told.get("peft_type"), "LORA"),
        ("bias", told.get("bias", "none"), "none"),
        ("target_modules", targets, sorted(LORA_LAYERS)),
        ("fan_in_fan_out", told.get("fan_in_fan_out", False), False),
        ("use_rslora", told.get("use_rslora", False), False),
        ("use_dora", told.get("use_dora", False), False),
        *((key, told.get(key) or None, None) for key in _ODD_LAYERS),
    ]
    for key, held, expected in told_and_known:
        if held != expected:
            raise InputError(f"{key} {held!r} in {where}", f"{expected!r}", "use the release's own")
    return lora_numbers(told, where)


def lora_numbers(told: dict[str, Any], where: str) -> LoraSettings:
    """Rank, alpha and dropout alone.

    Raises:
        InputError: one is absent, or no LoRA has it.
    """
    numbers = [told.get(key) for key in ("r", "lora_alpha", "lora_dropout")]
    if not all(type(number) in (int, float) for number in numbers):  # JSON's true is an int
        raise InputError(
            f"no r, lora_alpha, lora_dropout in {where}", "three numbers", "use the release's own"
        )
    rank, alpha, dropout = numbers
    try:
        return LoraSettings.model_validate({"rank": rank, "alpha": alpha, "dropout": dropout})
    except ValidationError as error:
        first = error.errors()[0]
        name = {"rank": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}[str(first["loc"][0])]
        raise InputError(
            f"{name} {first['input']!r} in {where}", wanted(first), "use the release's own"
        ) from error


def projector_prefix(state: State, where: str) -> str:
    """What stands before ``mm_projector`` in a file's names; versions of LLaVA differ.

    Raises:
        InputError: there is none, or several.
    """
    found = {match["prefix"] for name in state if (match := PROJECTOR_NAME.match(name))}
    if len(found) != 1:
        raise InputError(
            f"{len(found)} projectors in {where}",
            "one, as tensors mm_projector.0 and mm_projector.2",
            "check that the file is whole and of that kind",
        )
    return found.pop()


def import_adapter(
    release: Path, settings: LoraSettings, vlm: LlavaForConditionalGeneration, output: Path
) -> str:
    """Write an adapter that fits ``vlm``, in the release's types; returns the projector's prefix.

    Raises:
        InputError: a file is missing, damaged, of another layout or of another model.
    """
    blocks = vlm.config.text_config.num_hidden_layers
    low_rank, _ = read_checkpoint(release / "adapter_model.bin")
    trained, _ = read_checkpoint(release / "non_lora_trainables.bin")
    prefix = projector_prefix(trained, "non_lora_trainables.bin")
    ours = to_ours(lora(blocks), low_rank, "adapter_model.bin")
    require_shapes(ours, adapter_shapes(vlm, settings.rank), "adapter_model.bin")
    projected = to_ours(projector(prefix), trained, "non_lora_trainables.bin")
    wanted = {f"{_OURS}{name}": each for name, each in projector_of(vlm).state_dict().items()}
    require_shapes(projected, wanted, "non_lora_trainables.bin")
    output.mkdir(parents=True, exist_ok=True)
    whole = {name: value.contiguous() for name, value in {**ours, **projected}.items()}
    save_file(whole, output / ADAPTER_FILE, metadata={"format": "pt"})
    config = lora_config(settings, with_projector=True)
    config.inference_mode = True
    config.save_pretrained(str(output))
    return prefix


def adapter_shapes(vlm: LlavaForConditionalGeneration, rank: int) -> dict[str, torch.Tensor]:
    """Empty tensors of an adapter's shapes by our names: A [rank, in], B [out, rank]."""
    width = vlm.config.text_config.hidden_size
    if rank > width:
        raise InputError(f"LoRA of rank {rank}", f"at most {width}, its layers' width", ADVICE)
    shapes = {}
    for name, layer in vlm.model.language_model.named_modules():
        if name.rpartition(".")[2] in LORA_LAYERS:
            base = f"base_model.model.model.language_model.{name}"
            wide, narrow = layer.in_features, layer.out_features
            shapes[f"{base}.lora_A.weight"] = torch.empty(rank, wide, device="meta")
            shapes[f"{base}.lora_B.weight"] = torch.empty(narrow, rank, device="meta")
    return shapes


def export_adapter(vlm_folder: Path, output: Path, prefix: str, blocks: int) -> dict[str, Any]:
    """Write ``adapter_model.bin`` and ``non_lora_trainables.bin``; returns peft's configuration.

    The projector is the adapter's where it was trained with it, else the VLM's own.

    Raises:
        InputError: the folder has no adapter, or one of another layout.
    """
    adapter = vlm_folder / "adapter"
    if not (adapter / ADAPTER_FILE).is_file():
        raise InputError(
            f"no {ADAPTER_FILE} in {adapter}", "a VLM trained with LoRA", "name such a stage"
        )
    state = load_tensors(adapter / ADAPTER_FILE)
    trained_as = read_json(adapter / "adapter_config.json")
    settings = lora_numbers(trained_as, f"{adapter}/adapter_config.json")
    trained = {name: value for name, value in state.items() if name.startswith(_OURS)}
    pairs = lora(blocks)
    low_rank = {name: value for name, value in state.items() if name not in trained}
    known = {pair.ours[0] for pair in pairs}
    if low_rank.keys() != known:
        odd = min(low_rank.keys() ^ known)
        raise InputError(
            f"an adapter that differs by '{odd}' in {adapter}",
            "LoRA on seven layers of each block",
            "name a stage of this project",
        )
    vlm = load_vlm(vlm_folder)
    require_shapes(low_rank, adapter_shapes(vlm, settings.rank), str(adapter))
    own = {f"{_OURS}{name}": value for name, value in projector_of(vlm).state_dict().items()}
    require_shapes(trained, own, str(adapter))
    trained = trained or own
    torch.save(to_theirs(pairs, low_rank), output / "adapter_model.bin")
    torch.save(to_theirs(projector(prefix), trained), output / "non_lora_trainables.bin")
    return trained_as
