"""Places from words and boxes, and the facts that a synthesis is told."""

from __future__ import annotations

from typing import Any

import pytest

from sources.record import (
    OBSERVATIONS,
    Box,
    Image,
    Label,
    LabelValue,
    SourceLabel,
    Study,
    View,
)
from tasks.reports.concepts import _concepts, find_concept
from tasks.reports.facts import Fact, facts_of, payload_of
from tasks.reports.places import Place, merge, place_of_boxes, read_location

POSITIVE, NEGATIVE, UNCERTAIN, UNMENTIONED = (
    LabelValue.POSITIVE,
    LabelValue.NEGATIVE,
    LabelValue.UNCERTAIN,
    LabelValue.UNMENTIONED,
)
FILM = Image("i", View.PA, "i.png", 1000, 900)


def study(**fields: Any) -> Study:
    return Study("vindr_cxr", "s", None, None, **{"images": (FILM,), **fields})


def box(name: str, x: float, y: float, image: str = "i", size: float = 100) -> Box:
    return Box(image, name, x - size / 2, y - size / 2, x + size / 2, y + size / 2)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, Place()),
        ("", Place()),
        ("left", Place(("left",))),
        ("right, lower lobe", Place(("right",), "lower lobe")),
        ("right upper lobe", Place(("right",), "upper lobe")),
        ("bilateral", Place(("left", "right"))),
        ("left, right", Place(("left", "right"))),
        ("loc basal bilateral", Place(("left", "right"), "base")),
        ("left costophrenic angle", Place(("left",), "costophrenic angle")),
        ("lingula", Place((), "lingula")),
        ("hilar", Place((), "perihilar region")),
        ("middle lung field, right", Place(("right",), "middle zone")),
        ("column", Place()),
    ],
)
def test_location_words(text: str | None, place: Place) -> None:
    assert read_location(text) == place


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        (200, 100, Place(("right",), "upper zone")),
        (800, 450, Place(("left",), "middle zone")),
        (800, 890, Place(("left",), "lower zone")),
        (500, 450, Place((), "middle zone")),
        (579, 450, Place((), "middle zone")),
        (581, 450, Place(("left",), "middle zone")),
    ],
)
def test_the_left_of_the_image_is_the_patients_right(x: float, y: float, place: Place) -> None:
    assert place_of_boxes([box("n", x, y)], [FILM]) == place


def test_boxes_on_both_sides_and_in_two_zones() -> None:
    boxes = [box("n", 200, 100), box("n", 800, 450)]
    assert place_of_boxes(boxes, [FILM]) == Place(("left", "right"), None)


@pytest.mark.parametrize(
    "image",
    [Image("i", View.PA, "i.png"), Image("i", View.LATERAL, "i.png", 10, 10)],
)
def test_images_without_size_and_laterals_tell_no_place(image: Image) -> None:
    assert place_of_boxes([box("n", 2, 2)], [image]) == Place()
    assert place_of_boxes([box("n", 2, 2, image="other")], [FILM]) == Place()


def test_merged_places_keep_all_sides_and_one_region() -> None:
    left, right = Place(("left",), "base"), Place(("right",), "base")
    assert merge([left, right]) == Place(("left", "right"), "base")
    assert merge([left, Place(("left",), "apex")]) == Place(("left",), None)
    assert merge([]) == Place()


def test_a_publishers_label_stands_for_its_observation() -> None:
    given = study(
        source_labels=(SourceLabel("Pleural effusion", POSITIVE, "left"),),
        labels=(Label("Pleural Effusion", POSITIVE), Label("Edema", NEGATIVE)),
    )
    assert facts_of(given) == (
        Fact("Pleural effusion", POSITIVE, Place(("left",))),
        Fact("Edema", NEGATIVE),
    )


def test_unmentioned_labels_are_no_facts() -> None:
    given = study(
        source_labels=(SourceLabel("ILD", UNMENTIONED),), labels=(Label("Edema", UNMENTIONED),)
    )
    assert facts_of(given) == ()


@pytest.mark.parametrize(
    ("votes", "readers", "value"),
    [(1, 3, UNCERTAIN), (2, 3, POSITIVE), (3, 3, POSITIVE), (1, 2, POSITIVE), (None, 5, POSITIVE)],
)
def test_a_minority_of_readers_makes_a_doubt(
    votes: int | None, readers: int, value: LabelValue
) -> None:
    label = SourceLabel("ILD", POSITIVE, None, votes, readers)
    (fact,) = facts_of(study(source_labels=(label,)))
    assert (fact.value, fact.votes, fact.readers) == (value, votes, readers)


def test_boxes_place_their_label_whatever_the_case() -> None:
    given = study(
        source_labels=(SourceLabel("Nodule/Mass", POSITIVE),), boxes=(box("nodule/mass", 200, 100),)
    )
    (fact,) = facts_of(given)
    assert fact.place == Place(("right",), "upper zone")


def test_a_denied_label_has_no_place() -> None:
    given = study(source_labels=(SourceLabel("ILD", NEGATIVE),), boxes=(box("ILD", 200, 100),))
    (fact,) = facts_of(given)
    assert fact.place == Place()


def test_one_name_at_two_places_is_one_fact() -> None:
    labels = (
        SourceLabel("nodule", UNCERTAIN, "right"),
        SourceLabel("nodule", POSITIVE, "left upper lobe"),
    )
    assert facts_of(study(source_labels=labels)) == (
        Fact("nodule", POSITIVE, Place(("left", "right"), "upper lobe")),
    )


@pytest.mark.parametrize("name", ["exclude", "suboptimal study", "unchanged"])
def test_strings_about_the_film_are_no_facts(name: str) -> None:
    assert facts_of(study(source_labels=(SourceLabel(name, POSITIVE),))) == ()


def test_a_denied_no_finding_is_no_fact() -> None:
    given = study(labels=(Label("No Finding", NEGATIVE), Label("Edema", POSITIVE)))
    assert [fact.name for fact in facts_of(given)] == ["Edema"]


def test_the_question_shows_only_what_is_known() -> None:
    facts = (
        Fact("ILD", UNCERTAIN, Place(("left",), "base"), 1, 3),
        Fact("Edema", NEGATIVE),
    )
    assert payload_of(study(), facts) == {
        "view": "PA",
        "facts": [
            {
                "name": "ILD",
                "value": "uncertain",
                "sides": ["left"],
                "place": "base",
                "readers": "1 of 3",
            },
            {"name": "Edema", "value": "negative"},
        ],
    }
    assert "view" not in payload_of(study(images=()), facts)


@pytest.mark.parametrize(
    ("name", "observation"),
    [
        ("Pleural_Thickening", "Pleural Other"),
        ("Effusion", "Pleural Effusion"),
        ("Infiltration", "Lung Opacity"),
        ("Nodule/Mass", "Lung Lesion"),
        ("Hernia", None),
        ("Emphysema", None),
        ("Fibrosis", None),
        ("foreign object", None),
        ("alveolar pattern", "Lung Opacity"),
    ],
)
def test_names_of_all_publishers_are_known(name: str, observation: str | None) -> None:
    concept = find_concept(name)
    assert concept is not None
    assert concept.observation == observation


def test_unknown_names_have_no_concept() -> None:
    assert find_concept("left-handed screwdriver") is None


def test_every_observation_has_a_concept_under_its_own_name() -> None:
    for name in OBSERVATIONS:
        concept = find_concept(name)
        assert concept is not None and concept.observation == name


def test_the_table_is_well_formed() -> None:
    for concept in _concepts().values():
        assert concept.placed in ("lung", "side", "none", "object")
        assert concept.nouns
        assert concept.observation in (None, *OBSERVATIONS)
