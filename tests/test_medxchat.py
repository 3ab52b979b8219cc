"""MedXChat's recipe: shapes of both models at the paper's scale, what is trained, and how; and what
the demo's scale keeps of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from questions_world import record, write_vqa_rad
from test_models_shapes import paper_vlm

from infra.settings import load_settings
from models.projector import projector_of
from models.vlm import parameters, with_lora
from sources.example import Task, request_turn
from tasks.context import Order, open_context
from tasks.graph import build_graph

PAPER = load_settings("medxchat", "paper")


def resampler_parameters(width: int, queries: int, layers: int, language: int) -> int:
    """Worked out by hand: queries; per layer four projections, two norms before attention, one
    before the MLP of four times the width; a last norm; the layer to the language model."""
    attention = 4 * (width * width + width) + 2 * 2 * width
    mlp = 2 * width + (width * 4 * width + 4 * width) + (4 * width * width + width)
    return queries * width + layers * (attention + mlp) + 2 * width + (width + 1) * language


def test_an_image_is_64_tokens_of_the_language_models_width() -> None:
    """256 patches of CLIP ViT-L/14 at 224 px through 64 queries in six layers (medxchat 1.2)."""
    vlm = paper_vlm(PAPER.models)
    assert (PAPER.models.vision.patches, PAPER.models.image_tokens) == (256, 64)
    with torch.device("meta"):
        image = torch.empty(1, 3, 224, 224)
        tower = vlm.model.vision_tower(image, output_hidden_states=True)
        features = vlm.get_image_features(pixel_values=image, return_dict=True)
    assert tuple(tower.hidden_states[-1].shape) == (1, 257, 1024)
    assert [tuple(each.shape) for each in features.pooler_output] == [(64, 4096)]


def test_the_resampler_has_as_many_parameters_as_its_layers_add_up_to() -> None:
    expected = resampler_parameters(1024, 64, 6, 4096)
    assert parameters(projector_of(paper_vlm(PAPER.models))) == expected == 79_855_616


def test_adapters_lie_on_queries_and_values_alone() -> None:
    """Rank 16 on two 4096 x 4096 layers of each of 32 blocks (medxchat 1.2)."""
    lora = PAPER.stage("finetune").lora
    assert lora is not None
    with torch.device("meta"):
        adapted = with_lora(paper_vlm(PAPER.models), lora, with_projector=False)
    trained = {name: each for name, each in adapted.named_parameters() if each.requires_grad}
    assert sum(each.numel() for each in trained.values()) == 2 * 32 * 16 * 8192 == 8_388_608
    assert len(trained) == 128
    assert all("q_proj" in name or "v_proj" in name for name in trained)


def test_one_model_learns_three_abilities_by_their_shares() -> None:
    tuned = PAPER.stage("finetune")
    tasks = {PAPER.sets[name].task: share for name, share in tuned.examples.items()}
    assert tasks == {"findings": 25, "dialogue": 54, "generate": 7.5, "vqa": 10}
    assert tuned.learn == "everything"
    graph = build_graph(PAPER, {}, frozenset(PAPER.sources.names))
    sets = {f"examples/{name}" for name in PAPER.sets}
    assert set(graph["stages/finetune"].inputs) == {"stages/align", *sets}
    assert [step.name for step in graph.of_kind("models")] == ["report", "draw"]
    names = {name: one.model_name for name, one in PAPER.abilities.items()}
    assert names == {"report": "medxchat", "vqa": "medxchat", "draw": "medxchat-cxr-sd"}


def test_films_are_drawn_as_the_released_code_does_and_judged_by_the_same_model() -> None:
    asked = PAPER.abilities["draw"].films
    assert (asked.steps, asked.guidance) == (50, 1.1)
    graph = build_graph(PAPER, {}, frozenset(PAPER.sources.names))
    assert "stages/guide" in graph["predictions/draw"].inputs
    assert graph["scores/draw"].settings["reporter"]["stage"] == "finetune"
    held = {"stages/finetune", "examples/requests", "stages/guide", "classifiers/draw"}
    assert set(graph["coherence/report"].inputs) == held


def test_reports_are_decoded_as_the_published_script_does() -> None:
    found = PAPER.abilities["report"].generate
    told = (found.beams, found.min_new_tokens, found.max_new_tokens)
    assert told == (3, 80, 120)
    assert (found.repetition_penalty, found.length_penalty) == (2.0, 2.0)
    assert PAPER.abilities["vqa"].generate.min_new_tokens == 0


def test_a_conversation_is_decoded_for_all_that_may_be_said_in_it() -> None:
    """A report's shortest length, beams and penalties break yes or no, and the second tag."""
    found = PAPER.chat.generate
    told = (found.beams, found.min_new_tokens, found.repetition_penalty, found.batch_size)
    assert told == (1, 0, 1.0, 1)
    assert found.max_new_tokens > PAPER.abilities["report"].generate.max_new_tokens
    shorter = load_settings("medxchat", "paper", ["chat.max_new_tokens=64"])
    plans = [build_graph(each, {}, frozenset(each.sources.names)) for each in (PAPER, shorter)]
    assert plans[0] == plans[1], "no artifact depends on it"


@pytest.mark.parametrize("guide", ["zero-convolutions", "decoder"])
def test_either_guide_is_one_setting(guide: str) -> None:
    chosen = load_settings("medxchat", "paper", [f"models.diffusion.guide={guide}"])
    assert chosen.models.drawing.guide == guide
    assert chosen.models.drawing.weights == "stabilityai/stable-diffusion-2-1"


TINY = load_settings("medxchat", "tiny")


def test_tiny_has_the_papers_stages_behind_two_stand_ins() -> None:
    """CXR-SD's are apart."""
    shared = [stage for stage in PAPER.stages if not stage.draws]
    named = [stage.name for stage in TINY.stages if not stage.draws]
    assert named == ["language", "pretrain", *(stage.name for stage in shared)]
    for stage in shared:
        small = TINY.stage(stage.name)
        assert (small.kind, set(small.examples)) == (stage.kind, set(stage.examples))
    for name in ("report", "vqa"):
        assert TINY.abilities[name].stage == PAPER.abilities[name].stage == "finetune"
    graph = build_graph(TINY, {}, frozenset(TINY.sources.names))
    trained = {"stages/language", "stages/pretrain"}
    assert trained <= set(graph["stages/align"].inputs)


def test_tiny_trains_all_of_the_model_that_draws() -> None:
    """On reports alone; the base reads empty prompts, so that what follows a report is the guide's.
    A guide needs the language model's stages no more than those need it."""
    drawing = {stage.kind: stage for stage in TINY.stages if stage.draws}
    assert list(drawing) == ["autoencode", "diffuse", "guide"]
    assert all(set(stage.examples) == {"reports"} for stage in drawing.values())
    chosen = TINY.models.drawing
    assert (chosen.weights, chosen.base_prompts) == ("", "empty")
    assert chosen.guide == PAPER.models.drawing.guide == "zero-convolutions"
    graph = build_graph(TINY, {}, frozenset(TINY.sources.names))
    needs = {step for step in graph["stages/diffuse"].inputs if step.startswith("stages/")}
    assert needs == {"stages/autoencode", "stages/pretrain"}


def test_tiny_keeps_what_makes_the_system() -> None:
    """Its projector, and adapters on queries and values alone."""
    tuned, published = TINY.stage("finetune"), PAPER.stage("finetune")
    assert tuned.lora is not None
    assert published.lora is not None
    assert tuned.lora.layers == published.lora.layers
    assert tuned.prompt == published.prompt
    assert "language" not in tuned.trainable
    assert (TINY.models.projector, TINY.models.vision.architecture) == ("resampler", "clip")
    assert (TINY.models.vision.fit, TINY.models.vision.layout) == ("stretch", "first")


def test_tiny_tells_no_indication_as_the_paper_does_not() -> None:
    for settings in (PAPER, TINY):
        words = settings.sets["reports"].request
        asked = request_turn(Task.FINDINGS, "Cough.", words, "example")
        assert "Cough" not in asked.text
        assert asked.text in (words.plain, *words.also)


def test_tiny_runs_on_replicas_without_the_open_source() -> None:
    order = Order(recipe="medxchat", replicas=True)
    context = open_context(order, make=False)
    assert "vqa_rad" not in context.source_names
    assert set(context.source_names) == set(TINY.sources.names) - {"vqa_rad"}
    questions = context.settings.sets["questions"]
    assert questions.test_sources == ("mimic_cxr_vqa", "medical_diff_vqa")
    assert questions.validate_sources == ("medical_diff_vqa",)


def test_tiny_is_tested_on_vqa_rad_where_it_is_given(tmp_path: Path) -> None:
    raw = write_vqa_rad(tmp_path / "raw", [record(1)])
    order = Order(recipe="medxchat", replicas=True, sources=(f"vqa_rad={raw}",))
    context = open_context(order, make=False)
    assert context.source_names == TINY.sources.names
    assert context.settings.sets["questions"].test_sources == ("vqa_rad",)
    assert "replicas/vqa_rad" not in context.graph.steps
