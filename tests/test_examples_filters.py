"""Each filter rule alone, and that every row gets at most one reason."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from infra.settings.sections import ExampleSettings
from tasks.examples.filters import RULES, Rule, first_match, rule_parameters

SETTINGS = ExampleSettings(test_sources=("mimic_cxr",), validate_sources=("mimic_cxr",))

GOOD: dict[str, Any] = {
    "source": "mimic_cxr",
    "split": "train",
    "image_id": "i1",
    "view": "PA",
    "version": "keep",
    "origin": "radiologist",
    "sectioned_by": "rules",
    "language": "en",
    "has_section": True,
}


def judge(
    row: dict[str, Any], settings: ExampleSettings = SETTINGS, rules: tuple[Rule, ...] = RULES
) -> tuple[str | None, str | None]:
    """Reason and detail of one candidate row."""
    columns = ", ".join(
        f"{value!r} AS {name}" if value is not None else f"NULL AS {name}"
        for name, value in row.items()
    )
    query = (
        f"SELECT {first_match(rules, 'reason')}, {first_match(rules, 'detail')} FROM "
        f"(SELECT {columns})"
    )
    [answer] = duckdb.sql(query, params=rule_parameters(settings)).fetchall()
    return answer


def test_a_frontal_training_image_with_findings_is_kept() -> None:
    assert judge(GOOD) == (None, None)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"split": None}, "no-split", "no split; expected train, validate or test"),
        (
            {"source": "chexpert", "split": "test"},
            "held-out-of-other-source",
            "split test; this recipe has no test set of chexpert",
        ),
        (
            {"source": "chexpert", "split": "validate"},
            "held-out-of-other-source",
            "split validate; this recipe has no validate set of chexpert",
        ),
        (
            {"image_id": None, "view": None},
            "no-image",
            "no stored image; expected one or more",
        ),
        (
            {
                "version": None,
                "origin": None,
                "sectioned_by": None,
                "language": None,
                "has_section": None,
            },
            "no-report",
            "no text version; expected one or more",
        ),
        ({"language": "pt"}, "not-english", "language pt; expected en"),
        ({"language": "es", "split": "test"}, "not-english", "language es; expected en"),
        (
            {"split": "test", "version": "structure", "sectioned_by": "llm"},
            "test-reference-not-by-rules",
            "version structure of origin radiologist sectioned by llm; "
            "expected the radiologist's text by publisher or rules",
        ),
        (
            {"has_section": False},
            "section-missing",
            "no text in the findings of version keep",
        ),
        (
            {"has_section": None},
            "section-missing",
            "no text in the findings of version keep",
        ),
        ({"view": "LATERAL"}, "view-not-wanted", "view LATERAL; expected PA or AP"),
        ({"view": "UNKNOWN"}, "view-not-wanted", "view UNKNOWN; expected PA or AP"),
    ],
)
def test_each_rule_gives_its_reason_and_what_it_found(
    change: dict[str, Any], reason: str, detail: str
) -> None:
    assert judge(GOOD | change) == (reason, detail)


@pytest.mark.parametrize("version", ["structure", "translate", "synthesize", "keep-llm"])
def test_training_and_validation_take_every_text_version(version: str) -> None:
    row = GOOD | {"version": version, "sectioned_by": "llm"}
    assert judge(row)[0] is None
    assert judge(row | {"split": "validate"})[0] is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": "structure"},
        {"version": "keep-llm", "sectioned_by": "llm"},
        {"version": "translate", "origin": "translated"},
        {"version": "translate", "origin": "translated", "sectioned_by": "publisher"},
        {"origin": "translated", "sectioned_by": "rules"},
        {"version": "synthesize", "origin": "synthesized"},
        {"sectioned_by": "llm"},
    ],
)
def test_no_language_model_touches_a_test_reference(change: dict[str, str]) -> None:
    assert judge(GOOD | {"split": "test"} | change)[0] == "test-reference-not-by-rules"


@pytest.mark.parametrize("sectioned_by", ["rules", "publisher"])
def test_a_test_reference_cut_by_rules_or_publisher_is_kept(sectioned_by: str) -> None:
    assert judge(GOOD | {"split": "test", "sectioned_by": sectioned_by})[0] is None


def test_a_publishers_own_translation_is_a_test_reference() -> None:
    """RRG24's references of PadChest and BIMCV-COVID19 are published in English."""
    own = {"split": "test", "origin": "translated", "sectioned_by": "publisher"}
    assert judge(GOOD | own)[0] is None


def test_other_sources_give_their_training_split() -> None:
    assert judge(GOOD | {"source": "padchest"})[0] is None


def test_a_recipe_may_test_on_one_source_and_validate_on_another() -> None:
    settings = ExampleSettings(test_sources=("openi",), validate_sources=("mimic_cxr",))
    assert judge(GOOD | {"source": "openi", "split": "test"}, settings)[0] is None
    assert judge(GOOD | {"source": "openi", "split": "validate"}, settings)[0] == (
        "held-out-of-other-source"
    )
    assert judge(GOOD | {"split": "test"}, settings)[0] == "held-out-of-other-source"


def test_views_and_section_follow_the_recipe() -> None:
    settings = ExampleSettings(
        views=("LATERAL",), task="impression", test_sources=(), validate_sources=()
    )
    assert judge(GOOD | {"view": "LATERAL"}, settings)[0] is None
    assert judge(GOOD, settings) == ("view-not-wanted", "view PA; expected LATERAL")
    assert judge(GOOD | {"has_section": False}, settings)[1] == (
        "no text in the impression of version keep"
    )


def test_of_several_reasons_the_first_rule_speaks() -> None:
    broken = GOOD | {"split": None, "view": "LATERAL", "has_section": False}
    assert judge(broken)[0] == "no-split"
    assert judge(broken | {"split": "train"})[0] == "section-missing"
    assert judge(broken, rules=RULES[::-1])[0] == "view-not-wanted"


def test_rules_are_named_once_and_say_why() -> None:
    names = [rule.reason for rule in RULES]
    assert names == [
        "no-split",
        "held-out-of-other-source",
        "no-image",
        "no-report",
        "not-english",
        "test-reference-not-by-rules",
        "section-missing",
        "view-not-wanted",
    ]
    assert all(rule.why.endswith(".") and "\n" not in rule.why for rule in RULES)
