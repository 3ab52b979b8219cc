"""RRG24's recipe at the paper's scale: two models, their shapes, and what each is asked."""

from __future__ import annotations

import torch
from test_models_shapes import paper_vlm

from infra.settings import load_settings
from models.projector import projector_of
from models.vlm import parameters, with_lora
from tasks.graph import build_graph

PAPER = load_settings("gla_rrg24", "paper")


def test_clip_336_gives_576_tokens_of_width_1024() -> None:
    """24 x 24 patches of the last layer but one, without CLS (rrg24 1.2)."""
    vlm = paper_vlm(PAPER.models)
    assert PAPER.models.image_tokens == vlm.config.image_seq_length == 576
    with torch.device("meta"):
        image = torch.empty(1, 3, 336, 336)
        tower = vlm.model.vision_tower(image, output_hidden_states=True)
        features = vlm.get_image_features(pixel_values=image, return_dict=True)
    assert len(tower.hidden_states) == 25
    assert tuple(tower.hidden_states[-2].shape) == (1, 577, 1024)
    assert [tuple(each.shape) for each in features.pooler_output] == [(576, 4096)]


def test_tower_and_language_model_are_clip_l_336_and_vicuna_7b() -> None:
    """Counted by hand from the publishers' configurations.

    CLIP ViT-L/14-336: patches, class and places, two outer norms, 24 blocks of four projections, a
    feed-forward network of 4,096 and two norms. Vicuna 7B: 32,000 words in and out, 32 blocks of
    four projections, three of 11,008 and two gains, one gain behind them.
    """
    width, hidden = 1024, 4096
    block = 4 * (width**2 + width) + 2 * width * hidden + hidden + width + 4 * width
    tower = 3 * 14**2 * width + width + 577 * width + 2 * 2 * width + 24 * block
    words, wide, feed = 32_000, 4096, 11_008
    language = 2 * words * wide + 32 * (4 * wide**2 + 3 * wide * feed + 2 * wide) + wide
    vlm = paper_vlm(PAPER.models)
    assert parameters(vlm.model.vision_tower) == tower == 303_507_456
    assert parameters(vlm.model.language_model) + parameters(vlm.lm_head) == language
    assert language == 6_738_415_616
    assert parameters(vlm) == tower + language + 20_979_712 == 7_062_902_784


def test_projector_and_adapters_are_llavas_of_that_width() -> None:
    """1024 x 4096 + 4096 and 4096 x 4096 + 4096; LoRA of rank 128 is twice that of rank 64."""
    vlm = paper_vlm(PAPER.models)
    assert parameters(projector_of(vlm)) == 20_979_712
    lora = PAPER.stage("finetune-findings").lora
    assert lora is not None
    with torch.device("meta"):
        adapted = with_lora(vlm, lora, with_projector=False)
    trained = [each for each in adapted.parameters() if each.requires_grad]
    assert (len(trained), sum(each.numel() for each in trained)) == (448, 2 * 159_907_840)


def test_the_two_sections_are_two_models_that_share_nothing() -> None:
    graph = build_graph(PAPER, {}, frozenset({"rrg24"}))
    for section in ("findings", "impression"):
        tuned = graph[f"stages/finetune-{section}"]
        assert set(tuned.inputs) == {f"stages/align-{section}", f"examples/rrg24_{section}"}
    assert [step.name for step in graph.of_kind("models")] == ["gla_findings", "gla_impression"]
    names = {one.model_name for one in PAPER.abilities.values()}
    assert names == {"med_cxrgen_findings", "med_cxrgen_impression"}


def test_the_projector_is_frozen_in_the_second_stage_as_in_the_authors_figure() -> None:
    assert PAPER.stage("finetune-findings").trainable == ("lora",)
    stock = ['stages.finetune-findings.trainable=["projector", "lora"]']
    assert (
        "projector"
        in load_settings("gla_rrg24", "paper", stock).stage("finetune-findings").trainable
    )


def test_studies_are_asked_about_in_the_authors_words_on_up_to_four_films() -> None:
    for section, examples in PAPER.sets.items():
        assert (examples.images, examples.most_images, examples.choose) == ("study", 4, "first")
        assert examples.request.plain == (
            f"Provide a detailed description of the {section.removeprefix('rrg24_')} in the "
            "radiology image."
        )
    vision = PAPER.models.vision
    assert (vision.layout, vision.gutter_px, vision.fit) == ("stitch", 10, "pad")


TINY = load_settings("gla_rrg24", "tiny")


def test_tiny_has_the_papers_stages_behind_two_stand_ins() -> None:
    names = [stage.name for stage in TINY.stages]
    assert names == ["language", "pretrain", *(stage.name for stage in PAPER.stages)]
    for stage in PAPER.stages:
        small = TINY.stage(stage.name)
        assert (small.kind, small.prompt, small.examples) == (
            stage.kind, stage.prompt, stage.examples,
        )  # fmt: skip
    graph = build_graph(TINY, {}, frozenset({"rrg24"}))
    for section in ("findings", "impression"):
        shared = {"stages/language", "stages/pretrain", f"examples/rrg24_{section}"}
        assert set(graph[f"stages/align-{section}"].inputs) == shared


def test_tiny_shows_strips_in_which_two_films_keep_their_stored_size() -> None:
    vision = TINY.models.vision
    assert (vision.layout, vision.fit, vision.gutter_px) == ("stitch", "pad", 10)
    assert vision.image_px == 2 * TINY.images.short_side_px
    assert vision.room_for == 2, "and a film alone is as large as one of two"
    assert PAPER.models.vision.room_for == 1
    assert TINY.models.image_tokens == 64
    assert TINY.replicas.superfluous == 0.0
