"""The official release, in and out again: every tensor, and outputs equal to the original's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models_world import stage, train_run, trained_world
from original_forward import (
    IMAGE_SENTINEL,
    LlamaWithLora,
    mlp2x_gelu,
    open_clip_image,
    open_clip_text,
    timm_vit,
)
from release_world import (
    ALPHA,
    IMAGE_PX,
    LANGUAGE,
    PREFIX,
    RANK,
    TEXT,
    VISION,
    Tensors,
    encoder_tensors,
    write_language,
    write_release,
)
from safetensors.torch import load_file
from transformers import GenerationConfig, LlamaForCausalLM

from infra.settings.sections import GenerateSettings
from models.convert.release import export_release, import_release, shapes_as_settings
from models.data import ExampleShards
from models.dual_encoder import CxrDualEncoder
from models.quantized import merge_adapter
from models.tokenizers import load_tokenizer
from models.train import train
from models.vlm import load_vlm
from models.writer import FindingsWriter

WITHIN = 1e-5  # float32: the largest difference that rounding may make


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``release/``, ``language/`` and ``out/``, the import of both."""
    root = tmp_path_factory.mktemp("release")
    write_release(root / "release")
    write_language(root / "language")
    facts = import_release(root / "release", root / "out", root / "language", with_base=True)
    assert facts == {"image_tokens": 16, "lora_rank": RANK, "text_tokenizer": False}
    return root


def plain(path: Path) -> Tensors:
    loaded = torch.load(path, weights_only=True)
    return dict(loaded.get("state_dict", loaded))


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, IMAGE_PX, IMAGE_PX, generator=torch.Generator().manual_seed(9))


def original(world: Path) -> tuple[LlamaWithLora, torch.Tensor]:
    """The original language model with LoRA, and the projected image features [2, 16, W]."""
    states = timm_vit(encoder_tensors(), images(), VISION["heads"], "visual.trunk.")
    features = states[-2][:, 1:]  # the last block but one, without CLS, never normed
    projector = plain(world / "release" / "non_lora_trainables.bin")
    base = LlamaForCausalLM.from_pretrained(world / "language").state_dict()
    adapter = plain(world / "release" / "adapter_model.bin")
    language = LlamaWithLora(base, adapter, LANGUAGE["heads"], ALPHA, RANK)
    return language, mlp2x_gelu(projector, features, PREFIX)


def spliced(ids: list[int], image_id: int) -> list[int]:
    """The sentinel expanded to our image tokens."""
    return [each for one in ids for each in ([image_id] * 16 if one == IMAGE_SENTINEL else [one])]


@torch.no_grad()
def test_dual_encoder_embeds_as_the_original(world: Path) -> None:
    dual = CxrDualEncoder.from_pretrained(world / "out" / "dual_encoder").eval()
    ids = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 5, 8, 11, 40, 3]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    state = encoder_tensors()
    theirs = open_clip_image(state, images(), VISION["heads"])
    assert (dual.embed_images(images()) - theirs).abs().max() < WITHIN
    theirs = open_clip_text(state, ids, mask, TEXT["heads"])
    assert (dual.embed_texts(ids, mask) - theirs).abs().max() < WITHIN
    assert float(dual.logit_scale) == pytest.approx(float(state["logit_scale"]))


@torch.no_grad()
def test_vlm_gives_the_originals_logits(world: Path) -> None:
    vlm = load_vlm(world / "out" / "vlm").eval()
    language, projected = original(world)
    ids = [1, 5, 9, IMAGE_SENTINEL, 6, 30, 12]
    features = vlm.get_image_features(pixel_values=images()).pooler_output
    assert (torch.stack(list(features)) - projected).abs().max() < WITHIN
    ours = vlm(
        input_ids=torch.tensor([spliced(ids, vlm.config.image_token_index)] * 2),
        pixel_values=images(),
    ).logits
    for row in range(2):
        theirs = language.logits(ids, projected[row])
        assert theirs.abs().max() > 0.5
        assert (ours[row, :, : LANGUAGE["vocabulary"]] - theirs).abs().max() < WITHIN


@torch.no_grad()
def test_vlm_writes_the_originals_tokens(world: Path) -> None:
    vlm = load_vlm(world / "out" / "vlm").eval()
    language, projected = original(world)
    written = set()
    for row, ids in enumerate(([1, 5, IMAGE_SENTINEL, 6, 30], [1, IMAGE_SENTINEL, 44, 3])):
        theirs = language.greedy(ids, projected[row], 12)
        prompt = torch.tensor([spliced(ids, vlm.config.image_token_index)])
        ours = vlm.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            pixel_values=images()[row : row + 1],
            generation_config=GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0),
        )
        assert ours[0, prompt.shape[1] :].tolist() == theirs
        written |= set(theirs)
    assert len(written) > 3, "one token over and over would prove little"


def test_image_token_is_never_the_likeliest(world: Path) -> None:
    """Its row of the head is the mean of the others, so its logit is the mean of theirs."""
    vlm = load_vlm(world / "out" / "vlm")
    head = vlm.lm_head.weight
    image_id = vlm.config.image_token_index
    assert image_id == LANGUAGE["vocabulary"] == len(head) - 1
    assert torch.allclose(head[image_id], head[:image_id].mean(dim=0), atol=1e-6)
    assert load_tokenizer(world / "out" / "vlm").convert_tokens_to_ids("<image>") == image_id


def test_adapter_fits_the_base_and_makes_the_merged_model(world: Path) -> None:
    base = load_vlm(world / "out" / "base")
    before = base.lm_head.weight.clone()
    merged = merge_adapter(base, world / "out" / "vlm" / "adapter").state_dict()
    published = load_vlm(world / "out" / "vlm").state_dict()
    assert merged.keys() == published.keys()
    for name, value in merged.items():
        assert torch.allclose(value, published[name], atol=1e-6), name
    assert torch.equal(before, published["lm_head.weight"])
    adapter = load_file(world / "out" / "vlm" / "adapter" / "adapter_model.safetensors")
    assert len(adapter) == LANGUAGE["layers"] * 14 + 4


@pytest.mark.parametrize("prefix", [PREFIX, "base_model.model.", "model.", ""])
def test_release_comes_out_as_it_went_in(world: Path, tmp_path: Path, prefix: str) -> None:
    release = write_release(tmp_path / "release", prefix)
    out = tmp_path / "out"
    import_release(release, out, world / "language")
    export_release(out / "vlm", out / "dual_encoder", tmp_path / "back")
    names = {path.name for path in release.iterdir()}
    assert {path.name for path in (tmp_path / "back").iterdir()} == names
    for name in names:
        there, back = release / name, tmp_path / "back" / name
        if name.endswith(".json"):
            assert json.loads(back.read_text()) == json.loads(there.read_text())
            continue
        one, two = plain(there), plain(back)
        assert two.keys() == one.keys()
        for key, value in one.items():
            assert value.dtype == two[key].dtype
            assert torch.equal(value, two[key]), key
    whole = torch.load(tmp_path / "back" / "biomedclipcxr_518_checkpoint.pt", weights_only=True)
    assert (whole["epoch"], whole["name"]) == (32, "drawn")


def test_imported_folders_name_no_place(world: Path) -> None:
    for path in (world / "out").rglob("*.json"):
        assert str(world) not in path.read_text(), path.name


def test_imported_folders_are_ready_stages_that_write(world: Path, tmp_path: Path) -> None:
    """What the recipe takes by a stage's ``weights``: model, tokenizer and shapes fit together."""
    out = tmp_path / "out"
    tokenizer = trained_world() / "pretrain"
    facts = import_release(world / "release", out, world / "language", tokenizer)
    assert facts["text_tokenizer"] is True
    dual = CxrDualEncoder.from_pretrained(out / "dual_encoder")
    language = LlamaForCausalLM.from_pretrained(world / "language").config
    models = shapes_as_settings(dual, language)
    for name, folder in (("pretrain", "dual_encoder"), ("finetune", "vlm")):
        ready = stage(name, weights=str(out / folder), starts_from=[])
        run = train_run(tmp_path, ready, models=models.model_dump())
        assert train(run) == 0
        assert load_tokenizer(run.output).pad_token_id == 0
    settings = GenerateSettings(max_new_tokens=3)
    writer = FindingsWriter.load(tmp_path / "finetune", settings, "cpu")
    sample = ExampleShards((tmp_path / "shards" / "test.parquet",), writer.canvas)[0]
    written = writer.write([writer.prompt(sample)], [sample.pixels])
    assert written[0].tokens == 3 or written[0].finish_reason == "stop"
