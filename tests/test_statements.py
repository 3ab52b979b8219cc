"""Which words of a report belong to which of its findings, and of which that cannot be told."""

from __future__ import annotations

import pytest

from sources.record import LabelValue, View
from tasks.reports.question_types import films_in, is_closed, types_of, views_in
from tasks.reports.statements import Words, is_denied, outside_of, read_statements, words_in


def told(text: str) -> list[tuple[str, str, set[str], bool]]:
    """Observation, value, all words, clarity of each statement."""
    return [
        (item.observation, str(item.value), everything(item.words), item.is_clear)
        for item in read_statements(text).statements
    ]


def everything(words: Words) -> set[str]:
    return {*words.sides, *words.regions, *words.sizes, *words.severities, *words.kinds}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "There is consolidation in the right upper lung. No pleural effusion or pneumothorax.",
            [
                ("Consolidation", "positive", {"right", "upper"}, True),
                ("Pleural Effusion", "negative", set(), True),
                ("Pneumothorax", "negative", set(), True),
            ],
        ),
        (
            "Moderate cardiomegaly with mild pulmonary edema.",
            [
                ("Cardiomegaly", "positive", {"moderate"}, True),
                ("Edema", "positive", {"mild"}, True),
            ],
        ),
        (
            "A small left effusion and a large right pneumothorax.",
            [
                ("Pleural Effusion", "positive", {"small", "left"}, True),
                ("Pneumothorax", "positive", {"large", "right"}, True),
            ],
        ),
        (
            "Small left and moderate right pleural effusions.",
            [("Pleural Effusion", "positive", {"small", "moderate", "left", "right"}, False)],
        ),
        (
            "An effusion, on the left, a nodule.",
            [
                ("Pleural Effusion", "positive", set(), False),
                ("Lung Lesion", "positive", {"nodule"}, False),
            ],
        ),
        (
            "The heart is mildly enlarged. Possible pneumonia at the left base.",
            [
                ("Cardiomegaly", "positive", {"mild"}, True),
                ("Pneumonia", "uncertain", {"left", "base"}, True),
            ],
        ),
        (
            "An endotracheal tube ends above the carina. A right PICC is in place.",
            [
                ("Support Devices", "positive", {"endotracheal tube", "carina"}, True),
                ("Support Devices", "positive", {"PICC", "right"}, True),
            ],
        ),
        (
            "Displaced fracture of a left upper rib; 12 mm nodule in the lingula.",
            [
                ("Fracture", "positive", {"displaced", "rib", "left", "upper"}, True),
                ("Lung Lesion", "positive", {"12 mm", "nodule", "lingula"}, True),
            ],
        ),
    ],
)
def test_words_go_to_their_finding(
    text: str, expected: list[tuple[str, str, set[str], bool]]
) -> None:
    assert told(text) == expected


def test_the_heart_has_no_side() -> None:
    assert told("Left lung clear, enlarged heart on the left.")[-1][2] == set()


def test_all_words_of_a_finding_only_where_all_are_its_own() -> None:
    clear = read_statements("Small left effusion. Right effusion.").words_of("Pleural Effusion")
    assert clear is not None
    assert (set(clear.sides), set(clear.sizes)) == ({"left", "right"}, {"small"})
    doubtful = read_statements("Small left and large right effusions.")
    assert doubtful.words_of("Pleural Effusion") is None
    assert doubtful.words_of("Pneumonia") is None
    assert doubtful.value_of("Pneumonia") is LabelValue.UNMENTIONED


@pytest.mark.parametrize(
    ("text", "sizes", "severities"),
    [
        ("moderate effusion", {"moderate"}, {"moderate"}),
        ("mild to moderate edema", set(), {"mild", "moderate"}),
        ("small to moderate effusion", {"small", "moderate"}, set()),
        ("a 1.5 cm nodule", {"1.5 cm"}, set()),
    ],
)
def test_moderate_is_a_size_or_a_severity(text: str, sizes: set[str], severities: set[str]) -> None:
    words = words_in(text)
    assert (set(words.sizes), set(words.severities)) == (sizes, severities)


def test_findings_outside_of_rule14() -> None:
    found = outside_of("Hiatal hernia. No emphysema. Granuloma cannot be excluded.")
    assert found == {"hernia": "positive", "emphysem": "negative", "granulom": "positive"}
    assert outside_of("No hernia. A hernia is seen.") == {"hernia": "positive"}
    assert is_denied("There is no hernia") and not is_denied("No significant change of the hernia")


@pytest.mark.parametrize(
    ("question", "words", "names", "types"),
    [
        ("Is there an effusion?", Words(), True, {"presence"}),
        ("Is it on the left?", Words(sides=frozenset({"left"})), True, {"presence", "location"}),
        ("Where is the nodule?", Words(), True, {"location"}),
        ("Which lung is affected by the opacity?", Words(), True, {"location"}),
        ("How large is the mass?", Words(), True, {"size"}),
        ("How severe is the edema?", Words(), True, {"severity"}),
        ("To what degree is the heart enlarged?", Words(), True, {"severity"}),
        ("What type of opacity is it?", Words(), True, {"type"}),
        ("Which devices are seen?", Words(), True, {"type", "presence"}),
        ("What abnormalities are visible?", Words(), False, {"presence"}),
        ("Which view is this?", Words(), False, {"view"}),
        ("Is this a lateral film?", Words(), False, {"view"}),
        ("Tell me a story.", Words(), False, set()),
    ],
)
def test_the_type_of_a_question(question: str, words: Words, names: bool, types: set[str]) -> None:
    assert types_of(question, words, names_finding=names) == types
    assert is_closed(question) == question.startswith("Is")


def test_views_and_films() -> None:
    assert views_in("A lateral view") == {View.LATERAL}
    assert views_in("frontal") == {View.PA, View.AP}
    assert views_in("a frontal PA film") == {View.PA}
    assert views_in("map of appearances") == frozenset()
    assert films_in("a PA chest X-ray of the lateral left base") == {View.PA}
