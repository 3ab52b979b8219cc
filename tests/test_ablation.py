"""The table of an ablation: differences from the baseline, corrected, drawn and told."""

from __future__ import annotations

import re

import pytest
from test_paired import BAD, GOOD, system

from evaluation.ablation import Ablation, Variant, compare_variants
from evaluation.ablation_page import ablation_plot, as_markdown, render_ablation
from evaluation.paired import System, holm

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


def test_a_metric_that_no_variant_has_is_no_column(found: Ablation) -> None:
    assert found.metrics == METRICS[:2]


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
