"""One contract for every vision tower, projector and language model that a recipe may name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from models_world import MODELS, SIDE_PX, stage, train_run
from parts_world import (
    ALL_AT_ONCE,
    PARTS,
    PROJECTORS,
    VISION,
    Part,
    language_parameters,
    projector_parameters,
    small_models,
    swapped_world,
    tower_parameters,
)
from pydantic import ValidationError
from transformers import AutoProcessor

from infra.errors import InputError
from infra.settings import load_settings
from infra.settings.sections import GenerateSettings
from infra.settings.stages import LanguageSettings, ModelSettings
from models.canvas import Canvas
from models.data import ExampleShards
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.projector import VLM_OF_PROJECTOR, projector_of
from models.tokenizers import load_tokenizer
from models.vlm import language_config, load_vlm, parameters, vlm_config, with_lora
from models.weights import language_folder
from models.writer import FindingsWriter

CHOICES = [(part,) for part in PARTS] + [ALL_AT_ONCE]


def named(value: object) -> str:
    return "+".join(part.value for part in value) if isinstance(value, tuple) else str(value)


def on_meta(models: ModelSettings, vocabulary: int) -> torch.nn.Module:
    """The VLM of those shapes, nothing allocated; the small world's tokenizer gives the ids."""
    tokenizer = load_tokenizer(swapped_world(PARTS[0]) / "language")
    text = language_config(models.language, tokenizer)
    text.vocab_size = vocabulary
    config = vlm_config(models, text, image_token_id=5)
    with torch.device("meta"):
        return VLM_OF_PROJECTOR[models.projector](config)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.value)
def test_one_line_swaps_a_part_at_paper_scale_and_it_weighs_what_arithmetic_says(
    part: Part,
) -> None:
    models = load_settings("llava_rad", "paper", [part.line]).models
    vlm = on_meta(models, 32000)
    assert parameters(vlm.model.vision_tower) == tower_parameters(models.vision)
    assert parameters(projector_of(vlm)) == projector_parameters(models)
    language = parameters(vlm.model.language_model) + parameters(vlm.lm_head)
    assert language == language_parameters(models.language, 32000)
    assert vlm.config.image_seq_length == models.image_tokens
    expected = 64 if part.value == "resampler" else 1369
    assert models.image_tokens == expected
    with torch.device("meta"):
        features = vlm.get_image_features(pixel_values=torch.empty(2, 3, 518, 518))
    shapes = [tuple(each.shape) for each in features.pooler_output]
    assert shapes == [(expected, models.language.width)] * 2


@pytest.mark.parametrize("part", VISION, ids=lambda part: part.value)
def test_dual_encoder_takes_every_tower(part: Part) -> None:
    models = load_settings("llava_rad", "paper", [part.line]).models
    with torch.device("meta"):
        dual = CxrDualEncoder(dual_encoder_config(models, 30522))
        embedded = dual.embed_images(torch.empty(2, 3, 518, 518))
    assert tuple(embedded.shape) == (2, 512)
    text_and_heads = 109_482_240 + 393_216 + 819_200 + 1
    assert parameters(dual) == tower_parameters(models.vision) + text_and_heads


@pytest.mark.slow
@pytest.mark.parametrize("parts", CHOICES, ids=named)
def test_swapped_parts_train_save_and_load(parts: tuple[Part, ...]) -> None:
    root, models = swapped_world(*parts), small_models(*parts)
    vlm = load_vlm(root / "finetune")
    assert type(vlm) is VLM_OF_PROJECTOR[models.projector]
    assert vlm.config.text_config.model_type == models.language.architecture
    for name in ("align", "finetune"):
        result = json.loads((root / name / "result.json").read_text())
        assert result["last_loss"] > 0
    vlm.save_pretrained(root / "again")
    again = load_vlm(root / "again").state_dict()
    state = vlm.state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())


@pytest.mark.parametrize("parts", CHOICES, ids=named)
def test_frozen_parts_stay_frozen(parts: tuple[Part, ...]) -> None:
    root = swapped_world(*parts)
    before, after = (load_vlm(root / name).state_dict() for name in ("align", "finetune"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    adapted = {name for name in before if ".language_model.layers." in name and "_proj.w" in name}
    projector = {name for name in before if "multi_modal_projector" in name}
    assert adapted
    assert adapted <= changed <= adapted | projector
    assert projector & changed
    tower = CxrDualEncoder.from_pretrained(root / "pretrain").vision_model.state_dict()
    for name, value in tower.items():
        assert torch.equal(value, after[f"model.vision_tower.{name}"]), name


@pytest.mark.parametrize("parts", CHOICES, ids=named)
def test_swapped_parts_write_and_count_image_tokens_alike(parts: tuple[Part, ...]) -> None:
    root, models = swapped_world(*parts), small_models(*parts)
    writer = FindingsWriter.load(root / "finetune", GenerateSettings(max_new_tokens=4), "cpu")
    sample = ExampleShards((root / "shards" / "test.parquet",), Canvas(SIDE_PX))[0]
    prompt = writer.prompt(sample)
    image_id = writer.model.config.image_token_index
    assert prompt.count(image_id) == models.image_tokens
    processor = AutoProcessor.from_pretrained(root / "finetune")
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    theirs = processor(images=picture, text="<image> a", return_tensors="pt")
    assert int((theirs["input_ids"] == image_id).sum()) == models.image_tokens
    written = writer.write([prompt, prompt[:-2]], [sample.pixels, sample.pixels])
    assert all(each.tokens == 4 or each.finish_reason == "stop" for each in written)


@pytest.mark.parametrize("parts", CHOICES, ids=named)
def test_lora_reaches_seven_layers_of_every_block(parts: tuple[Part, ...]) -> None:
    models = small_models(*parts)
    lora = stage("finetune").lora
    assert lora is not None
    adapted = with_lora(on_meta(models, 400), lora, with_projector=False)
    names = [name for name, each in adapted.named_parameters() if each.requires_grad]
    assert len(names) == models.language.layers * 7 * 2
    assert all(".language_model.layers." in name and "lora_" in name for name in names)


def test_queries_read_the_patches_and_each_other() -> None:
    """A resampler that looked away from the image, or mixed up images, would pass the shapes."""
    from models.resampler import Resampler

    models = small_models(PROJECTORS[2])
    torch.manual_seed(0)
    tokenizer = load_tokenizer(swapped_world(PARTS[0]) / "language")
    config = vlm_config(models, language_config(models.language, tokenizer), 5)
    resampler = Resampler(config).eval()
    features = torch.randn(2, 16, models.vision.width)
    both = resampler(features)
    assert both.shape == (2, 3, models.language.width)
    assert torch.allclose(both[1:], resampler(features[1:]), atol=1e-6)
    shuffled = features[:, torch.randperm(16)]
    assert torch.allclose(both, resampler(shuffled), atol=1e-5), "patches are a set to the queries"
    other = features.clone()
    other[0, 3] = torch.randn(models.vision.width)
    assert not torch.allclose(both[0], resampler(other)[0], atol=1e-3)
    assert not torch.allclose(both[0, 0], both[0, 1], atol=1e-3)


def test_shared_key_value_heads_must_divide() -> None:
    shapes = MODELS.language.model_dump() | {"heads": 4, "key_value_heads": 3}
    with pytest.raises(ValidationError, match="heads 4 is no multiple of key_value_heads 3"):
        LanguageSettings.model_validate(shapes)
    shared = LanguageSettings.model_validate(shapes | {"key_value_heads": 2})
    models = MODELS.model_copy(update={"language": shared})
    vlm = on_meta(models, 400)
    language = parameters(vlm.model.language_model) + parameters(vlm.lm_head)
    assert language == language_parameters(shared, 400)


def test_language_model_of_another_architecture_is_named() -> None:
    root = swapped_world(PARTS[0])
    shapes = MODELS.model_dump()
    shapes["language"] |= {"architecture": "qwen2", "weights": str(root / "language")}
    run = train_run(root, stage("align"), models=shapes)
    with pytest.raises(InputError) as error:
        language_folder(run)
    assert str(error.value) == (
        f"found a model of type 'llama' in {root / 'language'}; expected the recipe's qwen2; "
        "set models.language.architecture or models.language.weights"
    )
