"""A VLM put together from its parts: nothing thrown away, and what is no weight is not rounded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from models_world import MODELS, stage, train_run, trained_world
from transformers import AutoModelForCausalLM, LlavaForConditionalGeneration, PreTrainedModel

from infra.settings.stages import ModelSettings
from models.dual_encoder import CxrDualEncoder
from models.projector import VLM_OF_PROJECTOR, ProjectorKind, projector_of
from models.stages import Prepared, prepare
from models.tokenizers import Tokenizer, load_tokenizer
from models.vlm import assemble, load_vlm
from models.weights import cast_parameters

KINDS: tuple[ProjectorKind, ...] = ("mlp2x_gelu", "linear", "resampler")


@dataclass(frozen=True)
class Parts:
    """What a VLM is made of, loaded anew."""

    tower: PreTrainedModel
    language: PreTrainedModel
    tokenizer: Tokenizer

    @classmethod
    def load(cls, dtype: torch.dtype = torch.float32) -> Parts:
        root = trained_world()
        language = AutoModelForCausalLM.from_pretrained(root / "language", dtype=dtype)
        tower = CxrDualEncoder.from_pretrained(root / "pretrain").vision_model
        return cls(tower, language, load_tokenizer(root / "language"))

    def together(self, kind: ProjectorKind = "mlp2x_gelu") -> LlavaForConditionalGeneration:
        return assemble(shapes_with(kind), self.tower, self.language, self.tokenizer)


def shapes_with(kind: ProjectorKind) -> ModelSettings:
    return MODELS.model_copy(update={"projector": kind})


def prepared(name: str, **changes: object) -> Prepared:
    root = trained_world()
    run = train_run(root, stage(name, **changes))
    return prepare(run, list)


def rope_of(model: torch.nn.Module) -> torch.Tensor:
    (found,) = (
        value for name, value in model.named_buffers() if name.endswith("rotary_emb.inv_freq")
    )
    return found


def test_align_in_bfloat16_turns_tokens_as_the_saved_model_does(tmp_path: Path) -> None:
    """Rounded to bfloat16, Llama's frequencies put a token at 1,400 somewhere else."""
    aligned = prepared("align", precision="bfloat16")
    aligned.save(tmp_path)
    loaded = load_vlm(tmp_path)
    assert loaded.dtype == torch.bfloat16
    assert rope_of(aligned.model).dtype == torch.float32
    assert torch.equal(rope_of(aligned.model), rope_of(loaded))
    rounded = rope_of(loaded).bfloat16().float()
    assert not torch.equal(rounded, rope_of(loaded)), "this width would not tell the two apart"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("align", {}),
        ("finetune", {}),
        ("finetune", {"starts_from": ["language", "pretrain"]}),
        ("finetune", {"trainable": ["vision", "projector", "language"], "lora": None}),
    ],
)
def test_no_stage_rounds_a_buffer_in_bfloat16(
    name: str, changes: dict[str, object], tmp_path: Path
) -> None:
    found = prepared(name, precision="bfloat16", **changes)
    frozen = {each.dtype for each in found.model.parameters() if not each.requires_grad}
    trained = {each.dtype for each in found.model.parameters() if each.requires_grad}
    assert trained == {torch.float32}
    assert frozen <= {torch.bfloat16, torch.float32}
    kept = [each for each in found.model.buffers() if each.is_floating_point()]
    found.save(tmp_path)
    assert {each.dtype for each in kept} == {torch.float32}
    assert torch.equal(kept[0], rope_of(load_vlm(tmp_path)))
    assert load_vlm(tmp_path).dtype == torch.bfloat16


def test_cast_parameters_leaves_buffers() -> None:
    model = torch.nn.BatchNorm1d(3)
    cast_parameters(model, torch.bfloat16)
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert model.running_mean is not None and model.running_mean.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_are_taken_over_and_only_the_projector_is_drawn(kind: ProjectorKind) -> None:
    """Drawn weights of a language model of 7B would take 28 GB and minutes on every rank."""
    parts = Parts.load(torch.bfloat16)
    held = {each.data_ptr() for each in parts.language.parameters()}
    torch.manual_seed(0)
    vlm = parts.together(kind)
    drawn = torch.get_rng_state()
    torch.manual_seed(0)
    fresh = type(projector_of(vlm))(vlm.config)
    if kind == "mlp2x_gelu":
        fresh.apply(vlm.model._init_weights)
    assert torch.equal(drawn, torch.get_rng_state()), "something else was drawn"
    for one, two in zip(projector_of(vlm).parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, two.bfloat16())
    kept = [*vlm.model.language_model.parameters(), *vlm.lm_head.parameters()]
    assert {each.data_ptr() for each in kept} == held, "weights were copied"
    assert not any(each.is_meta for each in (*vlm.parameters(), *vlm.buffers()))
    assert {each.dtype for each in vlm.parameters()} == {torch.bfloat16}
    assert vlm.model.language_model.config is vlm.config.text_config
    assert vlm.model.vision_tower.config is vlm.config.vision_config


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_a_vlm_made_whole_computes(kind: ProjectorKind) -> None:
    vlm = Parts.load().together(kind).eval()
    whole = VLM_OF_PROJECTOR[kind](vlm.config).eval()
    whole.load_state_dict(vlm.state_dict())
    places = shapes_with(kind).image_tokens
    ids = torch.tensor([[1, *[vlm.config.image_token_id] * places, 5, 6, 7]])
    pixels = torch.randn(1, 3, 28, 28)
    with torch.no_grad():
        one, other = (each(input_ids=ids, pixel_values=pixels).logits for each in (vlm, whole))
    assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_projector_is_drawn_as_within_a_whole_model(kind: ProjectorKind) -> None:
    vlm = Parts.load().together(kind)
    whole = VLM_OF_PROJECTOR[kind](vlm.config)
    spreads = [
        {name: float(each.detach().std(unbiased=False)) for name, each in named}
        for named in (projector_of(model).named_parameters() for model in (vlm, whole))
    ]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.35)


ENGINE = """
import os, sys, torch, deepspeed
from pathlib import Path
from models.vlm import load_vlm
vlm = load_vlm(Path(sys.argv[1]))
settings = {"bf16": {"enabled": True}, "zero_optimization": {"stage": int(sys.argv[2])},
            "train_micro_batch_size_per_gpu": 1}
optimizer = torch.optim.AdamW(vlm.parameters())
engine, *_ = deepspeed.initialize(model=vlm, optimizer=optimizer, config=settings)
kinds = {str(each.dtype) for each in engine.module.buffers() if each.is_floating_point()}
Path(sys.argv[3]).write_text(" ".join(sorted(kinds)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("zero", ["2", "3"])
def test_deepspeeds_bfloat16_leaves_buffers_as_they_are(zero: str, tmp_path: Path) -> None:
    """What its engine casts is its own affair and has changed between versions."""
    (tmp_path / "engine.py").write_text(ENGINE)
    place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place["MASTER_PORT"] = str(free.getsockname()[1])
    kinds = tmp_path / "kinds"
    told = [tmp_path / "engine.py", trained_world() / "align", zero, kinds]
    house = str(Path(__file__).parents[1])
    subprocess.run(
        [sys.executable, *map(str, told)],
        env={**os.environ, **place, "PYTHONPATH": house},
        check=True,
    )
    assert kinds.read_text() == "torch.float32"
