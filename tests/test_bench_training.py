"""The training bench at toy size: sides that agree, and a table that says what was measured."""

from __future__ import annotations

import pytest
import torch
from models_world import MODELS

from models.packing import Encoded, lay_end_to_end, pad_right
from tests.bench.training import (
    WARM_UP,
    Turn,
    check_agreement,
    measure,
    ratios,
    report,
    row,
)
from tests.bench.training_sides import (
    PIECES,
    WAYS,
    Side,
    World,
    useful_tokens,
    with_logits_everywhere,
)

PLAIN, PACKED, SUPERVISED, OURS = WAYS
EXAMPLES = [Encoded([1, 5, 6], [7, 2]), Encoded([1, 8], [9, 10, 11, 2])]


@pytest.fixture(scope="module")
def world() -> World:
    sizes = {"vocabulary": PIECES + 50, "context_tokens": 1024, "positions": 1024}
    language = MODELS.language.model_copy(update=sizes)
    return World(6, MODELS.model_copy(update={"language": language}))


def turn(seconds: float, loss: float = 2.0) -> Turn:
    return Turn(seconds, seconds / 2, useful=100, places=125, loss=loss)


def round_of(*seconds: float) -> dict[object, Turn]:
    return dict(zip(WAYS, map(turn, seconds), strict=True))


def test_every_side_trains_the_same_step(world: World) -> None:
    """``measure`` itself stops where losses differ; here the learning must show too."""
    rounds = measure(2, 2, world)
    assert list(rounds[0]) != list(rounds[1]), "who comes first takes turns"
    for taken in rounds:
        assert set(taken) == set(WAYS)
        losses = [each.loss for each in taken.values()]
        assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)
        assert taken[PLAIN].places > taken[PLAIN].useful == taken[OURS].places
    assert len(rounds) + WARM_UP == 3


def test_a_round_where_losses_differ_is_no_measurement() -> None:
    taken = {PLAIN: turn(1.0, 2.0), OURS: turn(0.5, 2.001)}
    with pytest.raises(SystemExit, match=r"the sides' losses differ: \[2.0, 2.001\]"):
        check_agreement(taken)


def test_the_plain_side_is_the_stock_recipe(world: World) -> None:
    """Labels are the ids themselves where the answer stands, and transformers moves them."""
    batch = Side(world, PLAIN).batch(world.samples[:2])
    assert sorted(batch) == ["attention_mask", "input_ids", "labels", "pixel_values"]
    learned = batch["labels"] != -100
    assert torch.equal(batch["labels"][learned], batch["input_ids"][learned])
    assert not learned[batch["attention_mask"] == 0].any()


def test_logits_everywhere_predict_the_same_tokens() -> None:
    padded = with_logits_everywhere(pad_right(EXAMPLES, 0))
    assert padded["labels"].tolist() == [
        [-100, -100, -100, 7, 2, -100],
        [-100, -100, 9, 10, 11, 2],
    ]
    packed = with_logits_everywhere(lay_end_to_end(EXAMPLES))
    assert packed["shift_labels"].tolist() == [
        [-100, -100, 7, 2, -100, -100, 9, 10, 11, 2, -100],
    ]
    assert "logits_to_keep" not in packed


def test_padding_is_not_useful() -> None:
    assert useful_tokens(pad_right(EXAMPLES, 0)) == useful_tokens(lay_end_to_end(EXAMPLES)) == 11


def test_ratios_are_taken_round_by_round() -> None:
    rounds = [round_of(4.0, 2.0, 2.0, 1.0), round_of(9.0, 3.0, 3.0, 3.0), round_of(6, 3, 3, 3)]
    assert ratios(rounds, OURS) == pytest.approx([2.0, 3.0, 4.0])
    assert row(rounds, OURS) == "| ours: both | 33 | **3.00** (2.00 to 4.00) | 3.00 |"


def test_the_page_tells_sizes_padding_and_verdict() -> None:
    rounds = [round_of(4.0, 3.0, 3.0, 2.0)]
    text = report(rounds, 4)
    for told in ("1,369 image tokens", "vocabulary of 32,000", "padded 20.0%", "Bar: 1.3; met."):
        assert told in text
    slow = [{**rounds[0], OURS: turn(4.0)}]
    assert "Bar: 1.3; MISSED." in report(slow, 4)
