"""The generation bench at a small shape: equal ids on all sides, a section with both bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.bench import generation
from tests.bench.generation import Race, Timing, main, race
from tests.bench.generation_page import write_page
from tests.bench.generation_world import (
    END,
    OwnLength,
    Shape,
    Traffic,
    ask_ours,
    build_model,
    draw_requests,
    parted_at_ties,
)

SMALL = Shape(
    image_px=28,
    vision_width=32,
    vision_layers=2,
    width=32,
    feed_forward=64,
    layers=2,
    heads=2,
    key_value_heads=2,
    vocabulary=300,
    opening_text=4,
)


def test_the_shape_is_the_bars() -> None:
    with torch.device("meta"):
        model = build_model(Shape())
    language = model.config.text_config
    assert (language.hidden_size, language.num_hidden_layers) == (512, 6)
    assert (language.vocab_size, model.config.image_seq_length) == (32000, 1369)
    tower = sum(each.numel() for each in model.model.vision_tower.parameters())
    whole = sum(each.numel() for each in model.model.language_model.parameters())
    whole += model.lm_head.weight.numel()
    assert tower / whole == pytest.approx(0.0164, abs=0.0005)


def test_a_test_set_shows_its_images_twice_and_a_blank_one() -> None:
    requests = draw_requests(SMALL, Traffic(6, 3))
    assert len(requests) == 18
    shown = [request.pixels.tobytes() for request in requests]
    assert shown[6:12] == [*shown[1:6], shown[0]]
    assert len(set(shown[12:])) == 1
    asked = [request.prompt for request in requests]
    assert asked[:6] == asked[6:12] == asked[12:]


def test_answers_are_as_long_as_findings() -> None:
    lengths = [request.most for request in draw_requests(SMALL, Traffic(400, 1))]
    assert 70 < np.median(lengths) < 90
    assert (min(lengths) >= 12, max(lengths) <= 256) == (True, True)
    assert np.std(lengths) > 30


def test_each_row_ends_at_its_own_length() -> None:
    rule = OwnLength([3, 1, 2], prompt_tokens=10)
    assert rule(torch.zeros(3, 12), None).tolist() == [False, True, True]


def test_the_bench_writes_its_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "benchmarks.md"
    code = main(["--images", "3", "--batch", "2", "--rounds", "1", "--tokens", "9"], SMALL, page)
    text = page.read_text()
    assert code in (0, 1)
    assert "| a test set and its two controls: 9 |" in text
    assert "; bar 1.2)" in text and "; bar 4)" in text
    assert "read 3 + 1 times" in text and "instead of 9" in " ".join(text.split())
    assert "round 1, alone" in capsys.readouterr().err


def test_other_ids_end_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    model, requests = build_model(SMALL), draw_requests(SMALL, Traffic(2, 1, longest=14))
    monkeypatch.setattr(generation, "ask_padded", lambda *_: [(END,), (END,)])
    with pytest.raises(AssertionError, match="padded wrote other ids in round 1"):
        race(model, "these", requests, 2, 1)


def test_only_a_draw_between_two_tokens_may_part_the_sides() -> None:
    model, requests = build_model(SMALL), draw_requests(SMALL, Traffic(1, 1, longest=14))
    ids = ask_ours(model, requests, 1)
    with torch.no_grad():  # a twin of the token that is written third: always as likely
        twin = next(token for token in range(3, 299) if token not in ids[0])
        model.lm_head.weight[twin] = model.lm_head.weight[ids[0][2]]
    drawn = [(*ids[0][:2], twin, *ids[0][3:])]
    assert parted_at_ties(model, requests, ids, ids) == []
    assert parted_at_ties(model, requests, ids, drawn) == [True]
    assert parted_at_ties(model, requests, ids, [(ids[0][0], twin, *ids[0][2:])]) == [False]
    assert parted_at_ties(model, requests, ids, [ids[0][:-1]]) == [False]


@pytest.mark.parametrize(("alone", "met"), [(4.1, True), (3.9, False)])
def test_a_missed_bar_is_told(tmp_path: Path, alone: float, met: bool) -> None:
    timings = {
        "ours": (Timing(1, 1),),
        "padded": (Timing(1.5, 1.4),),
        "alone": (Timing(alone, alone),),
    }
    page = tmp_path / "page.md"
    assert write_page([Race("some", 6, 3, 120, timings)], 4, 1, page) is met
    assert f"**{alone:.2f}×** ({alone:.2f} to {alone:.2f}; bar 4)" in page.read_text()
