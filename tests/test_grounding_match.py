"""Which boxes a sentence speaks of."""

from __future__ import annotations

import pytest

from evaluation.grounding_match import (
    Match,
    TruePlace,
    asserted,
    claims,
    match_places,
    match_sentence,
    named_sides,
    sentence_spans,
)
from sources.crop import Rectangle

RIGHT = Rectangle(0.1, 0.5, 0.4, 0.8)
LEFT = Rectangle(0.6, 0.5, 0.9, 0.8)
FLUID = [
    TruePlace("Pleural Effusion", "pleural effusion", "right", RIGHT),
    TruePlace("Pleural Effusion", "pleural effusion", "left", LEFT),
]
HEART = TruePlace("Cardiomegaly", "cardiomegaly", None, Rectangle(0.3, 0.4, 0.7, 0.8))


def test_spans_are_the_sentences_without_the_space_between() -> None:
    text = "The lungs are clear.  No effusion!\nHeart normal? Yes "
    found = [text[start:end] for start, end in sentence_spans(text)]
    assert found == ["The lungs are clear.", "No effusion!", "Heart normal?", "Yes"]
    assert sentence_spans("") == []
    assert sentence_spans("  ") == []


@pytest.mark.parametrize(
    ("sentence", "sides"),
    [
        ("There is a small left pleural effusion.", {"left"}),
        ("Right-sided pneumothorax.", {"right"}),
        ("Bilateral pleural effusions.", {"left", "right"}),
        ("Effusions on both sides.", {"left", "right"}),
        ("Mild cardiomegaly.", set()),
        ("The pleura is bright.", set()),
    ],
)
def test_sides_named(sentence: str, sides: set[str]) -> None:
    assert named_sides(sentence) == sides


def test_only_what_is_asserted_counts() -> None:
    assert asserted("There is no pleural effusion or pneumothorax.") == ()
    assert asserted("There is a small left pleural effusion.") == ("Pleural Effusion",)
    assert asserted("The lungs are clear.") == ()


def test_a_sentence_means_the_boxes_of_its_side() -> None:
    found = match_sentence("There is a small left pleural effusion.", [*FLUID, HEART])
    assert found.outcome == "grounded"
    assert found.boxes == (LEFT,)
    assert found.names == ("pleural effusion",)
    assert found.is_focal_sided


def test_both_sides_mean_both_boxes_and_are_not_one_side() -> None:
    found = match_sentence("There are bilateral pleural effusions.", FLUID)
    assert found.boxes == (RIGHT, LEFT)
    assert not found.is_focal_sided


def test_a_finding_without_a_side_is_meant_by_any_sentence() -> None:
    found = match_sentence("There is moderate cardiomegaly.", [HEART, *FLUID])
    assert found.boxes == (HEART.box,)
    assert not found.is_focal_sided


def test_what_is_not_there_has_no_box() -> None:
    assert match_sentence("There is a right pneumothorax.", FLUID).outcome == "no-box"
    only_left = [FLUID[1]]
    assert match_sentence("There is a right pleural effusion.", only_left).outcome == "no-box"
    assert match_sentence("No effusion.", FLUID) == Match("asserts-nothing")


@pytest.mark.parametrize(
    ("sentence", "boxes", "is_focal_sided"),
    [
        ("Left pleural effusion and cardiomegaly.", {LEFT, HEART.box}, False),
        ("There is a left pleural effusion but no right pleural effusion.", {LEFT}, True),
        ("Effusion on the left; the catheter tip lies in the right atrium.", {LEFT}, True),
        ("Small pleural effusion, right heart border obscured.", {LEFT, RIGHT}, False),
        ("No right pneumothorax is seen and there is a pleural effusion.", {LEFT, RIGHT}, False),
        ("Pleural effusion, small, on the left.", {LEFT}, True),
        ("In the right chest, there is a pleural effusion.", {RIGHT}, True),
    ],
)
def test_a_side_counts_where_it_is_asserted(
    sentence: str, boxes: set[Rectangle], is_focal_sided: bool
) -> None:
    """Every meant box has the named side, or the sentence is not a focal, sided one."""
    found = match_sentence(sentence, [*FLUID, HEART])
    assert (set(found.boxes), found.is_focal_sided) == (boxes, is_focal_sided)


def test_each_finding_has_the_side_of_its_own_words() -> None:
    told = claims("Small right pleural effusion and left pneumothorax.")
    assert [(claim.observation, set(claim.sides)) for claim in told] == [
        ("Pleural Effusion", {"right"}),
        ("Pneumothorax", {"left"}),
    ]
    shared = claims("Left pleural effusion and atelectasis.")
    assert [set(claim.sides) for claim in shared] == [{"left"}, {"left"}]


def test_a_box_without_a_side_is_not_on_the_named_one() -> None:
    central = TruePlace("Pleural Effusion", "pleural effusion", None, HEART.box)
    found = match_sentence("There is a left pleural effusion.", [FLUID[1], central])
    assert len(found.boxes) == 2
    assert not found.is_focal_sided


def test_devices_are_not_focal() -> None:
    lines = [TruePlace("Support Devices", "support device", "right", RIGHT)]
    found = match_sentence("A right central venous catheter ends in the vena cava.", lines)
    assert found.outcome == "grounded"
    assert not found.is_focal_sided


def test_boxes_out_of_sight_are_told() -> None:
    """Less than a quarter of the box lies in the crop, or nothing of it."""
    away = TruePlace("Fracture", "rib fracture", "left", Rectangle(1.01, 0.1, 1.2, 0.3))
    cut = TruePlace("Fracture", "rib fracture", "left", Rectangle(0.95, 0.1, 1.2, 0.3))
    sentence = "There is a fracture of a left rib."
    assert match_sentence(sentence, [away]).outcome == "box-outside-crop"
    assert match_sentence(sentence, [cut]).outcome == "box-outside-crop"
    half = TruePlace("Fracture", "rib fracture", "left", Rectangle(0.9, 0.1, 1.1, 0.3))
    assert match_sentence(sentence, [half, away]).boxes == (Rectangle(0.9, 0.1, 1.0, 0.3),)


def test_places_alone_need_no_words() -> None:
    assert match_places([], ("Mass",)).outcome == "no-box"
    assert match_places(FLUID, ("Effusion",)).observations == ("Effusion",)
