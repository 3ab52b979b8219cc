"""Scores by group: the same counts over fewer rows, beside the rest."""

from __future__ import annotations

import pytest
from test_paired import BAD, GOOD, system

from evaluation.report_slices import slice_table
from evaluation.slices import LEAST_EXAMPLES, UNKNOWN, Slices, age_band, slice_scores
from tasks.compare.show import slices_text

METRIC = "rule14-micro-F1"
TEXTS = [GOOD if number % 4 else BAD for number in range(120)]


def sliced(facts: dict[str, list[str]], texts: list[str] | None = None) -> Slices:
    return slice_scores(system(texts or TEXTS), facts, [METRIC, "unheard of"], 200, 0)


def by_value(found: Slices) -> dict[str, float | None]:
    return {item.value: item.score.value for item in found.scores}


def test_a_slice_scores_as_its_rows_alone_do() -> None:
    views = ["PA" if number < 70 else "AP" for number in range(120)]
    alone = slice_scores(system(TEXTS[:70]), {"x": ["a"] * 35 + ["b"] * 35}, [METRIC], 50, 0)
    assert len(alone.scores) == 2
    whole = system(TEXTS[:70])
    measure = whole.measures[METRIC]
    expected = float(measure.statistic(whole.families[measure.family].sum(axis=0)))
    assert by_value(sliced({"view": views}))["PA"] == pytest.approx(expected)


def test_support_counts_examples_and_subjects() -> None:
    views = ["PA" if number < 70 else "AP" for number in range(120)]
    found = {item.value: item for item in sliced({"view": views}).scores}
    assert (found["PA"].examples, found["PA"].subjects) == (70, 35)
    assert (found["AP"].examples, found["AP"].subjects) == (50, 25)


def test_the_worst_slice_is_named_with_its_gap() -> None:
    texts = [BAD if number < 40 else GOOD for number in range(120)]
    sites = ["north" if number < 40 else "south" for number in range(120)]
    sexes = ["F" if number % 4 < 2 else "M" for number in range(120)]
    found = sliced({"site": sites, "sex": sexes}, texts)
    worst = found.worst[METRIC]
    assert (worst.dimension, worst.value, worst.is_worse) == ("site", "north", True)
    assert worst.gap.value == pytest.approx(-1.0)
    assert found.looked_at == 4
    assert found.to_dict()["worst"][METRIC] == {
        "dimension": "site",
        "value": "north",
        "worse": True,
    }


def test_for_errors_the_worst_has_the_most() -> None:
    texts = [BAD if number < 40 else GOOD for number in range(120)]
    sites = ["north" if number < 40 else "south" for number in range(120)]
    found = sliced({"site": sites}, texts).scores
    assert {item.value: item.is_worse for item in found} == {"north": True, "south": False}


def test_small_and_unknown_slices_are_scored_and_never_called_the_worst() -> None:
    few = LEAST_EXAMPLES - 2
    texts = [BAD if number < few else GOOD for number in range(120)]
    small = ["tiny" if number < few else "large" for number in range(120)]
    untold = [UNKNOWN if number < 60 else "told" for number in range(120)]
    assert sliced({"site": small}, texts).worst[METRIC].value == "large"
    assert sliced({"site": untold}, texts).worst[METRIC].value == "told"
    assert by_value(sliced({"site": small}, texts))["tiny"] == 0.0


def test_a_dimension_of_one_value_is_no_slicing() -> None:
    found = sliced({"source": ["mimic_cxr"] * 120})
    assert (found.scores, found.worst, found.looked_at) == ((), {}, 0)
    assert found.not_sliced == "source (mimic_cxr for all)"


def test_what_is_not_sliced_is_told() -> None:
    """A dimension that nobody knows is not a dimension that was looked at."""
    views = ["PA" if number < 70 else "AP" for number in range(120)]
    nobody = [UNKNOWN] * 120
    facts = {"view": views, "sex": nobody, "age": nobody, "source": ["openi"] * 120}
    found = sliced(facts)
    assert found.not_sliced == "sex, age (unknown for all); source (openi for all)"
    assert found.to_dict()["not_sliced"] == {"sex": UNKNOWN, "age": UNKNOWN, "source": "openi"}
    assert f"not sliced: {found.not_sliced}" in slices_text("run", found)
    shown = slice_table(found)
    assert shown is not None
    assert shown.not_sliced == found.not_sliced
    assert sliced({"view": views}).not_sliced == ""


def test_facts_of_another_length_are_a_defect() -> None:
    with pytest.raises(AssertionError, match="one value an example"):
        sliced({"view": ["PA"]})


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0.0, "0-17"),
        (17.9, "0-17"),
        (18.0, "18-39"),
        (64.0, "60-79"),
        (80.0, "80+"),
        (None, UNKNOWN),
    ],
)
def test_age_bands(years: float | None, band: str) -> None:
    assert age_band(years) == band
