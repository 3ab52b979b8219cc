"""The training stages of the presets, and what a stage's table may not say."""

from __future__ import annotations

import pytest
from models_world import MODELS, stage
from pydantic import ValidationError

from infra.settings import PRESETS, load_settings
from infra.settings.stages import VisionSettings
from models.dual_encoder import bert_config


def message(error: pytest.ExceptionInfo[ValidationError]) -> str:
    return error.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (
            "align",
            {"trainable": ["text_encoder"]},
            "Value error, a stage of kind align cannot train text_encoder",
        ),
        ("align", {"trainable": []}, "Value error, nothing is trainable"),
        (
            "finetune",
            {"lora": None},
            "Value error, a lora table and 'lora' in trainable belong together",
        ),
        (
            "finetune",
            {"trainable": ["projector"]},
            "Value error, a lora table and 'lora' in trainable belong together",
        ),
        ("language", {"steps": None}, "Value error, steps or epochs is needed"),
        (
            "pretrain",
            {"deepspeed_zero": 2, "precision": "bfloat16"},
            "Value error, deepspeed_zero 2 with precision bfloat16 rounds a pretrain stage's "
            "temperature in steps of 3 %; set deepspeed_zero 0, or precision float32",
        ),
        ("language", {"learning_rate": 0}, "Input should be greater than 0"),
        ("language", {"deepspeed_zero": 1}, "Input should be 0, 2 or 3"),
        (
            "language",
            {"batches": "longest-first"},
            "Input should be 'mixed', 'one-source' or 'like-length'",
        ),
        ("language", {"optimiser": "sgd"}, "Extra inputs are not permitted"),
    ],
)
def test_contradictory_stage_is_refused(
    name: str, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(ValidationError) as error:
        stage(name, **changes)
    assert message(error) == expected


def test_conversations_are_packed_unless_a_stage_says_otherwise() -> None:
    assert stage("finetune").packing
    assert not stage("finetune", packing=False).packing
    for scale in ("paper", "tiny"):
        assert all(each.packing for each in load_settings("llava_rad", scale).stages)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image_px": 30}, "Value error, image_px 30 is no multiple of patch_px 7"),
        ({"feature_layer": -4}, "Value error, feature_layer -4 with 2 layers"),
    ],
)
def test_impossible_vision_tower_is_refused(changes: dict[str, int], expected: str) -> None:
    shapes = {"image_px": 28, "patch_px": 7, "width": 32, "layers": 2, "heads": 2}
    with pytest.raises(ValidationError) as error:
        VisionSettings.model_validate({**shapes, **changes})
    assert message(error) == expected


def test_both_scales_run_the_same_stages_but_for_the_stand_in() -> None:
    paper, tiny = (load_settings("llava_rad", scale) for scale in ("paper", "tiny"))
    assert [each.name for each in paper.stages] == ["pretrain", "align", "finetune"]
    assert [each.name for each in tiny.stages] == ["language", "pretrain", "align", "finetune"]
    for each in paper.stages:
        small = tiny.stage(each.name)
        assert (small.kind, small.prompt, small.sources) == (each.kind, each.prompt, each.sources)
        assert (small.lora is None) == (each.lora is None)


def test_every_stage_looks_at_validate_a_few_times() -> None:
    """Each preset keeps the best weights; at tiny a stage has two to four looks."""
    for each in load_settings("llava_rad", "tiny").stages:
        assert each.steps is not None
        assert each.validate_steps is not None
        assert 2 <= each.steps // each.validate_steps <= 4
    assert all(each.validate_steps for each in load_settings("llava_rad", "paper").stages)


def test_the_text_towers_dropout_is_berts_unless_a_recipe_says_so() -> None:
    shapes = load_settings("llava_rad", "paper").models
    for dropout, text in ((0.1, shapes.text_encoder), (0.0, MODELS.text_encoder)):
        config = bert_config(text.model_copy(update={"dropout": dropout}), 300)
        assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == dropout
    assert shapes.text_encoder.dropout == 0.1


def test_every_stage_starts_from_stages_before_it() -> None:
    for scale in ("paper", "tiny"):
        seen: set[str] = set()
        for each in load_settings("llava_rad", scale).stages:
            assert set(each.starts_from) <= seen
            seen.add(each.name)


def test_tiny_loads_no_weights_and_paper_loads_all() -> None:
    paper, tiny = (load_settings("llava_rad", scale).models for scale in ("paper", "tiny"))
    assert [tiny.vision.weights, tiny.text_encoder.weights, tiny.language.weights] == ["", "", ""]
    assert [paper.vision.weights, paper.text_encoder.weights, paper.language.weights] == [
        "facebook/dinov2-base",
        "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "lmsys/vicuna-7b-v1.5",
    ]


def test_paper_reads_518_px_in_1369_patches() -> None:
    vision = load_settings("llava_rad", "paper").models.vision
    assert (vision.image_px, vision.patch_px, vision.patches) == (518, 14, 1369)


def test_every_value_of_the_paper_preset_tells_its_origin() -> None:
    """A line's own comment names one of the origins that the file's head explains."""
    origins = ("[code]", "[card]", "[paper]", "[config]", "[derived]", "[ours]")
    names = ("recipe", "scale", "name", "kind", "starts_from", "model_name")
    section, silent = "", []
    for line in (PRESETS / "llava_rad.paper.toml").read_text().splitlines():
        if line.startswith("["):
            section = line.partition("#")[0].strip()
        key = line.partition("=")[0].strip()
        told_above = section in ("[sources.routes]", "[replicas.studies]")
        if "=" in line and not line.startswith("#") and key not in names and not told_above:
            silent += [line] if not any(origin in line for origin in origins) else []
    assert silent == []
