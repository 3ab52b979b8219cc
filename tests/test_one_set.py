"""The arithmetic and the page of a comparison on one test set."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from test_paired import BAD, GOOD, system

from evaluation.ablation import Variant
from evaluation.one_set import Contender, Left, OneSet, compare_on_one_set
from evaluation.one_set_page import ShownStudy, about, as_markdown, left_out, render_one_set
from evaluation.one_set_plot import PANELS, one_set_plot, plotted
from evaluation.paired import LEVEL, holm

METRIC = "rule14-micro-F1"
METRICS = (METRIC, "ROUGE-L[rouge-score-nostem]", "RadGraph-F1[v1,partial]")
WAY = {"films": "one: the first PA", "decoding": "greedy, 0 to 64 new tokens"}
LEFT = (Left("study-learned-from", "b", 3), Left("not-shown", "c", 1))


def row(control: str, value: float, **signature: Any) -> dict[str, Any]:
    """A score as a scoring's document has it."""
    ends = {"value": value, "low": value - 0.1, "high": value + 0.1}
    return {"metric": METRIC, "control": control, **ends, "signature": signature}


def contender(name: str, good: int, *, blank: float = 0.1, **signature: Any) -> Contender:
    """Forty answers, so many of them good, and one image-blind control."""
    texts = [GOOD if number < good else BAD for number in range(40)]
    unavailable = {"RadGraph-F1": "no weights here"}
    variant = Variant(name, "", (), system(texts), 90.0, unavailable=unavailable)
    own = good / 40
    difference = {"metric": METRIC, "control": "blank", "higher_is_better": True}
    ends = {"value": own - blank, "low": own - blank - 0.05, "high": own - blank + 0.05}
    scores = {
        "scores": [row("none", own, **signature), row("blank", blank)],
        "differences": [difference | ends],
    }
    return Contender(variant, WAY, scores)


def compared(*contenders: Contender, metrics: tuple[str, ...] = METRICS) -> OneSet:
    where = ("host/set", "rrg24 (replica)", "findings")
    return compare_on_one_set(where, contenders, metrics, (24, LEFT), 200, 0)


@pytest.fixture(scope="module")
def found() -> OneSet:
    a, b, c = contender("a", 20, n="1"), contender("b", 40, n="1"), contender("c", 0, n="2")
    return compared(a, b, c)


def test_each_is_held_against_the_first_and_corrected_by_metric(found: OneSet) -> None:
    assert (found.first, found.recipes) == ("a", ("a", "b", "c"))
    cells = [each.cell(METRIC) for each in found.table.rows]
    assert cells[0] is not None and cells[0].difference is None
    pairs = [cell.difference for cell in cells[1:] if cell is not None]
    assert [pair.better for pair in pairs if pair] == [True, False]
    plain = [pair.p for pair in pairs if pair]
    assert [pair.p_holm for pair in pairs if pair] == holm(plain)
    assert all(p is not None and p < LEVEL for p in plain)


def test_a_metric_without_a_number_says_why(found: OneSet) -> None:
    cell = found.table.rows[1].cell("RadGraph-F1[v1,partial]")
    assert cell is not None
    assert cell.unavailable == "no weights here"
    assert "unavailable: no weights here" in as_markdown(found)
    assert "RadGraph-F1: no weights here" in render_one_set(found, "x", [], [])


def test_without_chosen_metrics_all_of_the_main_table_are_held() -> None:
    found = compared(contender("a", 20), contender("b", 40), metrics=())
    assert METRIC in found.table.metrics
    assert "BLEU-4[coco-split-cased]" not in found.table.metrics, "a detail of a block"


def test_controls_tell_who_reads_films() -> None:
    found = compared(contender("a", 30), contender("b", 4), contender("c", 0, blank=0.5))
    verdicts = {each.recipe: each.beats for each in found.controls}
    assert verdicts == {"a": True, "b": None, "c": False}
    page = render_one_set(found, "x", [], [])
    for word in ("reads its films", "no better than blind", "worse than blind"):
        assert word in page
        assert word in as_markdown(found)


def test_each_model_is_told_in_short_before_the_table(found: OneSet) -> None:
    page = render_one_set(found, "x", [], [])
    assert page.count('<article class="verdict yes">') == 2, "a and b beat their control"
    assert page.count('<article class="verdict">') == 1
    assert "<dt>better in</dt><dd>2 of 3 metrics</dd>" in page
    assert page.count("<dt>less a</dt>") == 2


def test_scores_of_a_hundred_have_one_decimal() -> None:
    many = tuple(contender(name, good, scale="0-100") for name, good in (("a", 20), ("b", 40)))
    assert "| 1.0 [1.0, 1.0] |" in as_markdown(compared(*many))
    assert "| 1.000 [1.000, 1.000] |" in as_markdown(
        compared(contender("a", 20), contender("b", 40))
    )


def test_without_controls_the_page_says_that_none_was_asked() -> None:
    bare = [replace(each, scores={"scores": [], "differences": []})
            for each in (contender("a", 30), contender("b", 4))]  # fmt: skip
    found = compared(*bare)
    assert "No image-blind control was asked" in as_markdown(found)
    assert "No image-blind control was asked" in render_one_set(found, "x", [], [])


def test_signatures_that_differ_are_named_by_field(found: OneSet) -> None:
    [apart] = found.apart
    assert (apart.metric, apart.field) == (METRIC, "n")
    assert apart.values == {"a": "1", "b": "1", "c": "2"}
    assert "a 1, b 1, c 2" in render_one_set(found, "x", [], [])
    same = compared(contender("a", 1), contender("b", 2))
    assert "The signatures of every metric are equal." in render_one_set(same, "x", [], [])


def test_studies_left_out_are_told_with_whose_fault(found: OneSet) -> None:
    assert left_out(found) == ["3: b learned from the study", "1: c can be shown no film of it"]
    assert "All may be asked about 40 of 24 test studies." in as_markdown(found)
    assert "b learned from the study" in render_one_set(found, "x", [], [])


def test_too_few_exchanges_are_said(found: OneSet) -> None:
    assert "set resamples" not in about(found)
    few = replace(found, table=replace(found.table, resamples=20))
    assert "set resamples to 40 or more" in about(few)


def test_numbers_for_mlflow_have_controls_beside_them(found: OneSet) -> None:
    numbers = found.tracked("b")
    assert numbers[METRIC] == 1.0
    assert numbers[f"blank/{METRIC}"] == 0.1
    assert f"{METRIC}/difference" in numbers
    assert f"{METRIC}/difference" not in found.tracked("a")


def test_findings_are_drawn_before_words_and_what_has_no_number_is_not(found: OneSet) -> None:
    assert plotted(found) == list(METRICS[:2])
    every = compared(contender("a", 20), contender("b", 40), metrics=())
    assert len(plotted(every)) <= PANELS
    assert plotted(every)[0] == METRIC
    words = re.findall(r"<text[^>]*>([^<]*)</text>", one_set_plot(found))
    assert words.count("right is better") == 2
    assert {"a", "b", "c", "model", "shown blank films"} <= set(words)


def test_a_plot_of_nothing_is_empty(found: OneSet) -> None:
    nothing = compared(contender("a", 1), contender("b", 1), metrics=METRICS[2:])
    assert one_set_plot(nothing) == ""
    assert "<figure>" not in render_one_set(nothing, "x", [], [])


def test_the_page_escapes_texts_and_marks_findings(found: OneSet) -> None:
    written = {"a": GOOD, "b": "<script>alert(1)</script>", "c": ""}
    study = ShownStudy("rrg24", "s<1>", b"png", GOOD, written)
    page = render_one_set(found, "made", ["rrg24"], [study])
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "s&lt;1&gt;" in page
    assert page.count('<mark class="agrees"') >= 2 + 1, "two findings, and the legend"
    assert "<em>empty</em>" in page
    assert "synthetic replica" in page


def test_the_document_is_plain_and_whole(found: OneSet) -> None:
    document = found.to_dict()
    assert [model["recipe"] for model in document["models"]] == ["a", "b", "c"]
    assert document["models"][0]["way"] == WAY
    assert document["differences_surviving_holm"] == found.table.telling
    assert document["left_out"][0] == {"reason": "study-learned-from", "recipe": "b", "studies": 3}
    assert "overrides" not in document["models"][0]
