"""Scores by group: the same counts over fewer rows, beside the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_paired import BAD, GOOD, system
from test_retrieval import pool, unit

from evaluation.grounding_choice import Grounded, Measured
from evaluation.interval_text import plain
from evaluation.report_slices import slice_table
from evaluation.retrieval import Encoded, score_retrieval
from evaluation.sliced_readings import GAIN, Asked, grounding_slices, retrieval_slices
from evaluation.slices import (
    LEAST_EXAMPLES,
    UNKNOWN,
    Slices,
    age_band,
    joined,
    slice_scores,
    verdict,
)
from evaluation.statistics import Interval
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


def test_a_slice_that_is_better_is_never_called_the_worst() -> None:
    """Of one large slice and one small, the large one alone could be named: it is the better."""
    few = LEAST_EXAMPLES - 2
    texts = [BAD if number < few else GOOD for number in range(120)]
    sites = ["tiny" if number < few else "large" for number in range(120)]
    found = sliced({"site": sites}, texts)
    assert found.worst == {}
    assert by_value(found) == {"tiny": 0.0, "large": 1.0}
    assert verdict(found, METRIC).startswith("no worst slice: none has 30 examples of 20 subjects")
    good = [BAD if number % 4 == 0 and number >= 60 else GOOD for number in range(120)]
    halves = ["x" if number < 60 else "y" for number in range(120)]
    both = sliced({"half": halves}, good)
    assert both.worst[METRIC].value == "y"
    assert [item.is_worse for item in both.scores] == [False, True]


def test_where_none_is_below_the_rest_it_is_said() -> None:
    halves = ["x" if number < 60 else "y" for number in range(120)]
    found = sliced({"half": halves}, [GOOD] * 120)
    assert found.worst == {}
    assert verdict(found, METRIC) == (
        "no slice is below the rest, of 2 with 30 examples of 20 subjects"
    )
    assert "no slice is below the rest, of 2" in slices_text("run", found)


def test_the_worst_is_told_after_correction_on_terminal_and_page() -> None:
    texts = [BAD if number < 40 else GOOD for number in range(120)]
    sites = ["north" if number < 40 else "south" for number in range(120)]
    found = sliced({"site": sites}, texts)
    line = verdict(found, METRIC)
    assert "site north, −1.000 [" in line
    assert "from the rest after correction for 2 slices: worse than the rest" in line
    assert plain(line) in slices_text("run", found)
    table = slice_table(found)
    assert table is not None
    assert table.worst == (f"{METRIC}: {line}",)
    assert [row.worse for row in table.rows] == [(True,), (False,)]


def test_small_and_unknown_slices_are_scored_and_never_called_the_worst() -> None:
    texts = [BAD if number < 60 else GOOD for number in range(120)]
    untold = [UNKNOWN if number < 60 else "told" for number in range(120)]
    found = sliced({"site": untold}, texts)
    assert (found.worst, found.eligible) == ({}, {METRIC: 1})
    assert by_value(found)[UNKNOWN] == 0.0


def test_few_subjects_are_too_few_however_many_examples_they_have() -> None:
    """Forty examples of two subjects: their interval would tell nothing of other subjects."""
    base = system([GOOD] * 120)
    people = [f"p{number}" if number < 80 else f"q{number % 2}" for number in range(120)]
    crowd = replace(base, outputs=replace(base.outputs, subject_ids=tuple(people)))
    sites = ["many" if number < 80 else "two" for number in range(120)]
    found = slice_scores(crowd, {"site": sites}, [METRIC], 200, 0)
    assert {item.value: item.subjects for item in found.scores} == {"many": 80, "two": 2}
    assert found.eligible[METRIC] == 0


@pytest.mark.parametrize("metric", [METRIC, "ROUGE-L[rouge-score-nostem]"])
def test_a_resample_that_draws_none_of_a_slice_has_no_value(metric: str) -> None:
    """Neither a sum of counts nor a mean is 0 where nobody was drawn: the interval is unknown."""
    base = system([GOOD] * 40)
    people = [f"p{number}" if number < 36 else "q" for number in range(40)]
    crowd = replace(base, outputs=replace(base.outputs, subject_ids=tuple(people)))
    sites = ["many" if number < 36 else "one" for number in range(40)]
    found = slice_scores(crowd, {"site": sites}, [metric], 200, 0)
    one = next(item for item in found.scores if item.value == "one")
    assert one.score == Interval(1.0, None, None)
    assert (one.gap.value, one.gap.low, one.gap.high) == (0.0, None, None)


@pytest.mark.slow
def test_a_model_that_is_alike_everywhere_rarely_gets_a_worst_slice() -> None:
    """Sixteen slices by five facts that have nothing to do with the model: an interval for all of
    them at once excludes zero in about a twentieth of the trials, each alone in far more."""
    base = system([GOOD] * 300)
    people = tuple(f"p{number % 150}" for number in range(300))
    base = replace(base, outputs=replace(base.outputs, subject_ids=people))
    random = np.random.default_rng(5)
    corrected = alone = named = 0
    trials = 100
    for trial in range(trials):
        values = random.random((300, 14))
        counts = np.stack([values < 0.05, values > 0.95, abs(values - 0.5) < 0.025], axis=-1)
        families = {"rule14-negative": counts.reshape(300, 42).astype(np.float64)}
        facts = {
            str(many): [f"v{value}" for value in random.integers(0, many, 300)]
            for many in (2, 3, 4, 5)
        } | {"2 more": [f"v{value}" for value in random.integers(0, 2, 300)]}
        found = slice_scores(replace(base, families=families), facts, [METRIC], 200, trial)
        assert found.looked_at == found.eligible[METRIC] == 16
        corrected += any(item.corrected.excludes(0.0) for item in found.scores)
        alone += any(item.gap.excludes(0.0) for item in found.scores)
        named += found.worst[METRIC].is_worse
    assert alone / trials > 0.3
    assert corrected / trials <= 0.10
    assert named / trials <= 0.07


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


# Retrieval and grounding, group by group.


def asked(count: int) -> list[Asked]:
    return [Asked(f"e{n}", "mimic_cxr", f"s{n}", f"p{n // 2}") for n in range(count)]


def test_queries_count_what_the_whole_reading_counts() -> None:
    rng = np.random.default_rng(2)
    rows = [unit(rng.normal(size=(40, 6))) for _ in range(2)]
    encoded, films = Encoded("dual encoder", *rows), asked(40)
    found = list(retrieval_slices([encoded], pool(40), films, films))
    whole = {
        f"{one.encoder}, {one.direction}, {one.policy}, {one.metric}": one.interval.value
        for one in score_retrieval(encoded, pool(40), 10, 0)
    }
    names = [name for one in found for name in one.system.measures]
    assert len(names) == 2 * 3 * 4
    for one in found:
        for name, measure in one.system.measures.items():
            value = measure.statistic(one.system.families[name].sum(axis=0))
            assert float(value) == pytest.approx(whole[name])
    assert [name for one in found for name in one.shown] == [
        f"dual encoder, {direction}, distinct texts, R@5"
        for direction in ("image to text", "text to image")
    ]


def test_a_text_that_stands_once_is_asked_once() -> None:
    rows = unit(np.random.default_rng(3).normal(size=(6, 4)))
    shared = pool(6, ["a", "a", "b", "c", "c", "d"])
    found = list(retrieval_slices([Encoded("x", rows, rows)], shared, asked(6), asked(6)))
    by_shown = {name: one for one in found for name in one.shown}
    texts = by_shown["x, text to image, distinct texts, R@5"].system.outputs.example_ids
    assert texts == ("e0", "e2", "e3", "e5")


def test_a_site_whose_films_are_not_found_is_the_worst() -> None:
    rows = unit(np.random.default_rng(4).normal(size=(120, 16)))
    films = rows.copy()
    films[:40] = np.roll(rows[:40], 3, axis=0)
    found = next(iter(retrieval_slices([Encoded("x", films, rows)], pool(120), asked(120), [])))
    sites = ["north" if number < 40 else "south" for number in range(120)]
    name = "x, image to text, instance, R@1"
    told = slice_scores(found.system, {"site": sites}, [name], 100, 0)
    assert (told.worst[name].value, told.worst[name].is_worse) == ("north", True)


def test_sentences_are_sliced_by_kind_of_text_with_their_gain() -> None:
    sentences = [
        Grounded(f"e{n}", 0, kind, "mimic_cxr", f"s{n}", f"p{n}", "", (), (), is_focal_sided=True)
        for n, kind in enumerate(["reference", "phrase", "reference"])
    ]
    measured = Measured(sentences)
    for row, (own, other, hit) in enumerate([(0.5, 0.1, 1), (0.2, 0.3, 0), (0.7, 0.1, 1)]):
        measured.put(("occlusion", 2.0), "none", "energy", row, own)
        measured.put(("occlusion", 2.0), "shuffled", "energy", row, other)
        measured.put(("occlusion", 2.0), "none", "pointing", row, hit)
    first, second = grounding_slices(measured, ("occlusion", 2.0))
    assert first.system.outputs.example_ids == ("e0", "e2")
    values = {
        name: float(measure.statistic(one.system.families[name].sum(axis=0)))
        for one in (first, second)
        for name, measure in one.system.measures.items()
    }
    assert values == {
        "reference, energy": pytest.approx(0.6),
        "reference, pointing": 1.0,
        f"reference, {GAIN}": pytest.approx(0.5),
        "phrase, energy": pytest.approx(0.2),
        "phrase, pointing": 0.0,
        f"phrase, {GAIN}": pytest.approx(-0.1),
    }


def test_joined_slices_keep_each_metric_and_name_what_none_slices() -> None:
    texts = [BAD if number < 60 else GOOD for number in range(120)]
    views = ["PA"] * 60 + ["AP"] * 60
    one = sliced({"view": views, "sex": ["F"] * 120, "site": ["x"] * 120}, texts)
    other = sliced({"view": ["PA"] * 120, "sex": ["F"] * 120, "site": ["x"] * 60 + ["y"] * 60})
    both = joined([one, replace(other, worst={"m": one.worst[METRIC]}, eligible={"m": 2})])
    assert len(both.scores) == 4
    assert set(both.worst) == {METRIC, "m"}
    assert both.unsliced == {"sex": "F"}
    assert joined([]).scores == ()
