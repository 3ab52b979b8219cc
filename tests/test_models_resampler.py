"""Queries that begin with a place of their own read their part of the image before they learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

from infra.settings import load_settings
from infra.settings.stages import ResamplerSettings
from models.projector import ResamplerLlava, draw_projector, projector_of
from models.resampler import Resampler, grid_places
from models.vlm import load_vlm
from tasks.graph import build_graph

WIDTH, LANGUAGE, SIDE = 32, 16, 4


def config(queries: int, *, places: bool, layers: int = 1) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=16,
        patch_size=4,
    )
    text = LlamaConfig(
        hidden_size=LANGUAGE,
        intermediate_size=LANGUAGE,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=32,
        pad_token_id=0,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=31,
        vision_feature_layer=-1,
        projector_kind="resampler",
        resampler_queries=queries,
        resampler_layers=layers,
        resampler_places=places,
    )


def moved(resampler: Resampler, side: int = SIDE) -> torch.Tensor:
    """How far each query's token moves when one patch is another: [patches, queries]."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(8, side * side, WIDTH, generator=generator)
    with torch.no_grad():
        before = resampler(features)
        rows = []
        for patch in range(side * side):
            other = features.clone()
            other[:, patch] = torch.randn(8, WIDTH, generator=generator)
            rows.append((resampler(other) - before).norm(dim=2).mean(dim=0))
    return torch.stack(rows)


def fresh(queries: int, *, places: bool, layers: int = 1) -> Resampler:
    torch.manual_seed(0)
    return Resampler(config(queries, places=places, layers=layers)).eval()


@pytest.mark.parametrize("layers", [1, 2])
def test_each_fresh_query_reads_the_patch_where_it_lies(layers: int) -> None:
    found = moved(fresh(SIDE * SIDE, places=True, layers=layers))
    assert found.argmax(dim=1).tolist() == list(range(SIDE * SIDE))


def test_without_places_fresh_queries_read_all_patches_alike() -> None:
    """What the setting is for: a patch then moves all tokens by about as much."""
    with_places, without = (moved(fresh(SIDE * SIDE, places=each)) for each in (True, False))
    of_its_own = with_places.diagonal().mean() / with_places.mean()
    assert of_its_own > 2.5 * without.diagonal().mean() / without.mean()


def test_fewer_queries_than_patches_each_read_their_quarter() -> None:
    found = moved(fresh(4, places=True)).view(2, 2, 2, 2, 4)  # row half, row, column half, column
    quarters = found.mean(dim=(1, 3)).view(4, 4)
    assert quarters.argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_the_same_queries_read_an_image_of_another_size() -> None:
    found = moved(fresh(4, places=True), side=6).view(2, 3, 2, 3, 4)
    assert found.mean(dim=(1, 3)).view(4, 4).argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("side", [2, 4, 16, 37])
def test_no_two_places_are_alike_and_neighbours_are_nearest(side: int) -> None:
    places = grid_places(side, side, WIDTH)
    assert places.shape == (side * side, WIDTH)
    apart = torch.cdist(places, places) + 1e6 * torch.eye(side * side)
    rows, columns = torch.arange(side * side) // side, torch.arange(side * side) % side
    nearest = apart.argmin(dim=1)
    steps = (rows - rows[nearest]).abs() + (columns - columns[nearest]).abs()
    assert apart.min() > 1.0
    assert steps.tolist() == [1] * side * side


def test_a_coarser_grid_lies_over_the_same_image() -> None:
    """Query 0 of four lies between the first four patches of sixteen: as far from each."""
    asked, patches = grid_places(2, 4, WIDTH), grid_places(4, 4, WIDTH)
    apart = torch.cdist(asked[:1], patches)[0].view(4, 4)
    assert torch.allclose(apart[:2, :2], apart[0, 0].expand(2, 2), atol=1e-4)
    assert apart[:2, :2].max() < apart[2:, :].min()


def test_places_add_no_parameter_and_come_back_with_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vlm = ResamplerLlava(config(16, places=True))
    draw_projector(vlm)
    own, plain = projector_of(vlm), fresh(16, places=False)
    assert own.state_dict().keys() == plain.state_dict().keys()
    vlm.save_pretrained(tmp_path)
    back = projector_of(load_vlm(tmp_path))
    features = torch.randn(2, 16, WIDTH)
    assert isinstance(back, Resampler)
    assert back.places
    assert torch.equal(back.eval()(features), own.eval()(features))


def test_queries_that_are_no_square_have_no_places() -> None:
    with pytest.raises(ValidationError, match="places with 6 queries, which is no square"):
        ResamplerSettings(queries=6, places=True)
    assert not ResamplerSettings(queries=6).places


def test_recipes_without_places_keep_their_stages() -> None:
    """The key is in a stage's settings only where it is set."""
    for scale, told in (("tiny", True), ("paper", None)):
        settings = load_settings("medxchat", scale)
        step = build_graph(settings, {}, frozenset(settings.sources.names))["stages/align"]
        assert step.settings["models"]["resampler"].get("places") is told


@pytest.mark.parametrize("width", [88, 90, 91])
def test_any_width_has_places(width: int) -> None:
    """Of heads of 30, say: four do not divide 90."""
    places = grid_places(3, 3, width)
    assert places.shape == (9, width)
    assert places[:, width // 4 * 4 :].abs().sum() == 0
    assert len({tuple(each.tolist()) for each in places}) == 9
