"""The table of an ablation: differences from the baseline, corrected, drawn and told."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from test_paired import BAD, GOOD, judged_system, system

from evaluation.ablation import Ablation, Missing, Variant, compare_variants
from evaluation.ablation_page import ablation_plot, as_markdown, panel_titles, render_ablation
from evaluation.paired import LEVEL, System, holm

METRICS = ("rule14-micro-F1", "ROUGE-L[rouge-score-nostem]", "no such metric")


def variant(name: str, texts: list[str], seconds: float = 60.0, shift: int = 0) -> Variant:
    return Variant(
        name, f"What of {name}?", (f"set.{name}=1",), system(texts, shift=shift), seconds, 40, ()
    )


def half(better: int) -> list[str]:
    """Forty texts, so many of them good."""
    return [GOOD if number < better else BAD for number in range(40)]


@pytest.fixture(scope="module")
def found() -> Ablation:
    variants = [
        variant("baseline", half(20)),
        variant("all-good", half(40)),
        variant("all-bad", half(0), seconds=9000.0),
        variant("nearly-the-same", half(21)),
        variant("other-examples", half(20), shift=1),
    ]
    return compare_variants("small", variants, METRICS, resamples=200, seed=0)


def test_a_metric_without_numbers_stays_a_column_that_says_why(found: Ablation) -> None:
    assert found.metrics == METRICS
    cell = found.rows[1].cell("no such metric")
    assert (cell.value.value, cell.difference) == (None, None)
    assert cell.unavailable == "the scores have no counts of it"
    assert "unavailable: the scores have no counts of it" in as_markdown(found)
    assert "unavailable: the scores" in render_ablation(found, "today", [])


def test_the_scores_own_reason_is_told() -> None:
    reasons = {"chexprompt": "no judge was asked", "RadGraph-F1": "needs weights"}
    first = replace(variant("baseline", half(20)), unavailable=reasons)
    metrics = ("chexprompt[gpt-4]-errors", "RadGraph-F1[v1,partial]")
    [row] = compare_variants("small", [first], metrics, 20, 0).rows
    assert [cell.unavailable for cell in row.cells] == ["no judge was asked", "needs weights"]


def test_a_variant_without_scores_stands_in_the_table_with_its_reason() -> None:
    lost = Missing("lost", "What of it?", ("a=1",), "failed: the loss is not a number")
    first, good = variant("baseline", half(20)), variant("all-good", half(40))
    found = compare_variants("small", [first, lost, good], METRICS[:1], 200, 0)
    assert [row.name for row in found.rows] == ["baseline", "lost", "all-good"]
    assert found.rows[2].cell(METRICS[0]).better is True
    text = as_markdown(found)
    assert "| lost | – | – | – | – |" in text
    assert "lost failed: the loss is not a number." in text
    assert "lost failed: the loss is not a number." in render_ablation(found, "today", [])
    assert found.tracked(found.rows[1]) == {}
    assert found.to_dict()["rows"][1]["missing"] == "failed: the loss is not a number"


def test_a_verdict_takes_the_corrected_p_and_the_interval() -> None:
    """Seven variants of one metric: an interval that excludes zero alone tells nothing."""
    numbers = (34, 40, 20, 20, 20, 20, 20)
    variants = [variant(f"v{place}", half(better)) for place, better in enumerate(numbers)]
    found = compare_variants("x", [variant("baseline", half(20)), *variants], METRICS[:1], 1000, 0)
    cells = [row.cell(METRICS[0]) for row in found.rows[1:]]
    pairs = [cell.difference for cell in cells if cell.difference is not None]
    beside = [pair for pair in pairs if pair.excludes_zero and pair.p_holm and pair.p_holm >= LEVEL]
    assert beside
    assert all(pair.better is None for pair in beside)
    assert found.excluding_zero > found.telling == 1
    document = found.to_dict()
    assert document["differences_surviving_holm"] == 1
    assert document["differences_excluding_zero"] == found.excluding_zero
    assert as_markdown(found).count("**") == 2
    page = render_ablation(found, "today", [])
    assert page.count('"n better"') == 1
    assert "Filled: told from chance after correction" in page


def test_what_lies_no_farther_than_the_baseline_trained_again_is_called_neither() -> None:
    again = replace(variant("another-seed", half(34)), again=True)
    numbers = {"near": 33, "far": 40, "worse": 2}
    others = [variant(name, half(better)) for name, better in numbers.items()]
    first = variant("baseline", half(20))
    alone = compare_variants("x", [first, variant("a", half(34)), *others], METRICS[:1], 1000, 0)
    assert [row.cells[0].better for row in alone.rows[1:]] == [True, True, True, False]
    assert alone.yardsticks == {}
    found = compare_variants("x", [first, again, *others], METRICS[:1], 1000, 0)
    assert [row.cells[0].better for row in found.rows[1:]] == [None, None, True, False]
    within = [row.name for row in found.rows if row.cells[0].is_within_a_training]
    assert within == ["another-seed", "near"]
    distance = abs(found.rows[1].cells[0].difference.difference.value)
    assert found.yardsticks == {METRICS[0]: pytest.approx(distance)}
    document = found.to_dict()
    assert document["differences_surviving_holm"] == 4
    assert document["differences_beyond_training"] == 2
    text = as_markdown(found)
    assert f"(another-seed) lies {distance:.3f} in rule14-micro-F1 away" in text
    assert "which leaves 2 differences" in text
    page = render_ablation(found, "today", [])
    assert (page.count('"n better"'), page.count('"n worse"')) == (1, 1)
    assert "whose distance is shaded" in page
    assert "trained once more" not in render_ablation(alone, "today", [])


def test_too_few_exchanges_are_said() -> None:
    variants = [variant("baseline", half(20)), variant("one", half(40)), variant("two", half(0))]
    few = compare_variants("x", variants, METRICS[:1], 20, 0)
    assert few.tests == 2
    assert "set resamples to 40 or more" in as_markdown(few)
    enough = compare_variants("x", variants, METRICS[:1], 40, 0)
    assert "set resamples" not in as_markdown(enough)


def test_panels_are_told_apart_and_say_which_way_is_better() -> None:
    names = ["rule14-micro-F1", "rule14-micro-F1[uncertain=positive]"]
    judged = ["chexprompt[gpt-4]-significant-errors", "chexprompt[gpt-4]-errors"]
    assert panel_titles([*names, *judged]) == [
        *("rule14 micro F1", "rule14 micro F1 (uncertain=positive)"),
        *("significant errors", "errors"),
    ]
    two = [name.replace("gpt-4", judge) for judge in ("a", "b") for name in judged[:1]]
    assert panel_titles(two) == ["significant errors (a)", "significant errors (b)"]


def test_the_plot_says_for_each_panel_which_way_is_better() -> None:
    errors = "chexprompt[gpt]-significant-errors"
    sides = [judged_system(dict.fromkeys(range(20), count)) for count in (1, 2)]
    variants = [Variant(str(n), "?", (), side, 1.0) for n, side in enumerate(sides)]
    found = compare_variants("x", variants, [METRICS[0], errors, "nothing"], 40, 0)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", ablation_plot(found))
    assert [word for word in words if word.startswith("right is")] == [
        "right is better",
        "right is worse",
    ]
    assert "significant errors" in words
    assert "nothing" not in words


def test_the_baseline_has_scores_and_no_differences(found: Ablation) -> None:
    row = found.rows[0]
    hits, misses, false = 40, 40, 20  # the bad text claims "no finding"
    expected = 2 * hits / (2 * hits + misses + false)
    assert row.cell("rule14-micro-F1").value.value == pytest.approx(expected)
    assert all(cell.difference is None and cell.p_holm is None for cell in row.cells)


def test_differences_say_who_is_better_and_what_is_chance(found: Ablation) -> None:
    by_name = {row.name: row.cell("rule14-micro-F1").difference for row in found.rows}
    verdicts = {name: item.better for name, item in by_name.items() if item is not None}
    assert verdicts == {"all-good": True, "all-bad": False, "nearly-the-same": None}
    assert found.telling == 4


def test_p_values_are_corrected_over_the_variants_of_a_metric(found: Ablation) -> None:
    cells = [row.cell("rule14-micro-F1") for row in found.rows]
    tested = [cell for cell in cells if cell.difference is not None]
    plain = [cell.difference.p for cell in tested if cell.difference is not None]
    assert [cell.p_holm for cell in tested] == holm(plain)


def test_other_examples_are_tabulated_but_not_compared(found: Ablation) -> None:
    row = found.rows[-1]
    assert row.apart == "other test examples: 39 of 40 and 40 are shared"
    assert row.cell("rule14-micro-F1").value.value is not None
    assert row.cell("rule14-micro-F1").difference is None
    assert row.apart in as_markdown(found)


def test_the_table_has_a_line_for_each_variant(found: Ablation) -> None:
    text = as_markdown(found)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:2] == "| "}
    assert {"baseline", "all-good", "all-bad", "nearly-the-same"} <= set(lines)
    assert "What of all-bad?" in text
    assert "`set.all-good=1`" in text
    assert "2.5 h" in text
    assert "**" in text
    assert "Not a medical device" in text


def test_the_plot_shows_every_compared_variant_once_for_all_panels(found: Ablation) -> None:
    words = re.findall(r"<text[^>]*>([^<]*)</text>", ablation_plot(found))
    assert [word for word in words if word in ("all-good", "all-bad", "nearly-the-same")] == [
        *("all-good", "all-bad", "nearly-the-same"),
    ]
    assert "baseline" not in words
    assert "other-examples" not in words
    assert ablation_plot(found) == ablation_plot(found)


def test_nothing_to_compare_is_no_plot() -> None:
    alone = compare_variants("alone", [variant("baseline", half(3))], METRICS, 20, 0)
    assert ablation_plot(alone) == ""
    assert "<svg" not in render_ablation(alone, "today", [])


def test_the_page_escapes_and_fetches_nothing(found: Ablation) -> None:
    named = [
        variant("baseline", half(20)),
        Variant("x", "<script>alert(1)</script>", ("a=<b>",), system(half(30)), 60.0, 1204),
    ]
    page = render_ablation(compare_variants("evil", named, METRICS, 20, 0), "today", ["mimic_cxr"])
    assert "<script" not in page
    assert "a=&lt;b&gt;" in page
    assert "1.0 min, 1,204 examples" in page
    assert "Synthetic data" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "Not a medical device" in page


def test_numbers_for_mlflow_hold_scores_differences_and_time(found: Ablation) -> None:
    numbers = found.tracked(found.rows[1])
    assert numbers["training_seconds"] == 60.0
    assert numbers["rule14-micro-F1"] == 1.0
    assert numbers["rule14-micro-F1/difference"] == pytest.approx(3 / 7)
    assert 0 < numbers["rule14-micro-F1/p_holm"] < 0.05


def test_the_document_holds_verdicts_beside_numbers(found: Ablation) -> None:
    document = found.to_dict()
    verdicts = {row["name"]: row["cells"][0]["better"] for row in document["rows"]}
    assert verdicts == {
        "baseline": None,
        "all-good": True,
        "all-bad": False,
        "nearly-the-same": None,
        "other-examples": None,
    }
    assert document["differences_excluding_zero"] == 4


def test_a_judge_counts_only_what_it_judged() -> None:
    one: System = system(half(20))
    assert one.present(one.measures["rule14-micro-F1"]).sum() == 40
