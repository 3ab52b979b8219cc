"""MedXChat's recipe at the paper's scale: shapes of both models, what is trained, and how."""

from __future__ import annotations

import pytest
import torch
from test_models_shapes import paper_vlm

from infra.settings import load_settings
from models.projector import projector_of
from models.vlm import parameters, with_lora
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


@pytest.mark.parametrize("guide", ["zero-convolutions", "decoder"])
def test_either_guide_is_one_setting(guide: str) -> None:
    chosen = load_settings("medxchat", "paper", [f"models.diffusion.guide={guide}"])
    assert chosen.models.drawing.guide == guide
    assert chosen.models.drawing.weights == "stabilityai/stable-diffusion-2-1"
