"""Several judges: their mean, how far they differ, and which belong to the writer's family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kendalltau
from scores_world import SETTINGS, judged_row, judged_table, predictions_table

from evaluation.judged import JUDGED_SCHEMA, JudgedCounts, read_judged
from evaluation.judges import (
    answering,
    disagreements,
    families,
    kin_of_teachers,
    mean_of_judges,
)
from evaluation.report import ReportPage, render_report
from evaluation.report_views import disagreement_rows
from evaluation.scores import Scores, score_predictions
from evaluation.statistics import make_bootstrap

PLACES = {name: place for place, name in enumerate("abcdef")}


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", {"gpt"}),
        ("gpt-4", {"gpt"}),
        ("o3-mini", {"gpt"}),
        ("chatgpt-4o-latest", {"gpt"}),
        ("meta-llama/Llama-3.1-70B-Instruct", {"llama"}),
        ("lmsys/vicuna-7b-v1.5", {"llama"}),
        ("DeepSeek-R1-Distill-Llama-70B", {"deepseek", "llama"}),
        ("google/medgemma-4b-it", {"gemini"}),
        ("mistralai/Mixtral-8x7B", {"mistral"}),
        ("Qwen/Qwen2.5-72B", {"qwen"}),
        ("claude-x", {"claude"}),
        ("microsoft/phi-4", {"phi"}),
        ("offline-rules", {"offline-rules"}),
        ("Hospital-Deployment-7", {"hospital-deployment-7"}),
        ("demo1", {"demo1"}),
        ("delphi", {"delphi"}),
        ("foo3x", {"foo3x"}),
    ],
)
def test_a_models_name_tells_its_family(model: str, family: set[str]) -> None:
    assert families(model) == family


@pytest.mark.parametrize(
    ("judge", "answered_by", "teacher", "shared"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", "gpt-4-0613", ("gpt",)),
        ("llama-3-70b", "llama-3-70b", "vicuna-13b", ("llama",)),
        ("offline-rules", "offline-rules", "offline-rules", ("offline-rules",)),
        ("gpt-4", "offline-rules", "offline-rules", ("offline-rules",)),
        ("our-deployment", "gpt-4-turbo", "gpt-4o", ("gpt",)),
        ("gpt-4o", "gpt-4o", "llama-3", None),
        ("our-deployment", "our-deployment", "our-other-deployment", None),
        ("our-deployment", "our-deployment", "our-deployment", ("our-deployment",)),
    ],
)
def test_a_judge_of_the_teachers_family_is_named(
    judge: str, answered_by: str, teacher: str, shared: tuple[str, ...] | None
) -> None:
    found = kin_of_teachers({judge: [answered_by]}, [(teacher, "the references")])
    assert [item.families for item in found] == ([shared] if shared else [])
    for item in found:
        assert str(item) == (
            f"judge {judge} is of the same family ({', '.join(item.families)}) as {teacher}, "
            "which wrote the references"
        )


def counts(judge: str, errors: list[int | None], control: str = "none") -> JudgedCounts:
    """One judge's errors by pair, all significant omissions; None is a refusal."""
    rows = [
        judged_row(name, control, count, judge=judge)
        if count is not None
        else judged_row(
            name, control, 0, judge=judge, significant=None, insignificant=None, failure="refused"
        )
        for name, count in zip(PLACES, errors, strict=False)
    ]
    (found,) = read_judged(pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA), PLACES)
    return found


ONE: list[int | None] = [0, 1, 2, 3, None, 0]
OTHER: list[int | None] = [0, 3, 1, 3, 2, None]


def test_the_mean_is_over_pairs_that_all_judged() -> None:
    (mean,) = mean_of_judges([counts("x", ONE), counts("y", OTHER)])
    assert mean.judge == "mean of 2 judges"
    assert mean.column("judged").tolist() == [1, 1, 1, 1, 0, 0]
    assert mean.column("errors").tolist() == [0, 2, 1.5, 3, 0, 0]
    assert mean.column("significant-error-free").tolist() == [1, 0, 0, 0, 0, 0]
    half = mean_of_judges([counts("x", [0]), counts("y", [2])])[0]
    assert half.column("error-free")[0] == 0.5
    assert mean_of_judges([counts("x", ONE)]) == []
    assert mean_of_judges([counts("x", ONE), counts("y", OTHER, "blank")]) == []


def test_disagreement_by_hand() -> None:
    bootstrap = make_bootstrap(list("ppqqrr"), 50, 3)
    (found,) = disagreements([counts("x", ONE), counts("y", [0, 3, 0, 3, 2, None])], bootstrap)
    assert (found.one, found.other, found.control, found.pairs) == ("x", "y", "none", 4)
    assert found.mean_absolute_difference.value == pytest.approx((0 + 2 + 2 + 0) / 4)
    assert found.significant_difference.value == found.mean_absolute_difference.value
    assert found.free_disagreement.value == pytest.approx(1 / 4)
    assert found.tau.value == pytest.approx(kendalltau([0, 1, 2, 3], [0, 3, 0, 3]).statistic)
    ends = found.mean_absolute_difference.low, found.mean_absolute_difference.high
    assert ends == (1.0, 1.0), "either subject with pairs of both has a mean of one"
    nobody = make_bootstrap(list("ppppqq"), 200, 3)
    (lost,) = disagreements([counts("x", ONE), counts("y", OTHER)], nobody)
    assert lost.mean_absolute_difference.value is not None
    assert lost.mean_absolute_difference.low is None, "a resample draws no pair of both judges"


def test_judges_that_agree_differ_by_nothing() -> None:
    bootstrap = make_bootstrap(list("abcdef"), 50, 3)
    same: list[int | None] = [0, 1, 2, 3, 4, 5]
    (found,) = disagreements([counts("x", same), counts("y", same)], bootstrap)
    assert found.tau.value == pytest.approx(1.0)
    assert (found.mean_absolute_difference.value, found.free_disagreement.high) == (0.0, 0.0)
    three = [counts(name, same) for name in "xyz"]
    assert [(item.one, item.other) for item in disagreements(three, bootstrap)] == [
        ("x", "y"), ("x", "z"), ("y", "z"),
    ]  # fmt: skip
    assert disagreements([counts("x", same), counts("y", same, "blank")], bootstrap) == []


def two_judges(**changes: Any) -> Scores:
    predictions = predictions_table(40)
    one = judged_table(predictions).append_column(
        "answered_by", pa.array(["offline-rules"] * predictions.num_rows)
    )
    harsh = [
        {
            **row,
            "judge": "gpt-4o",
            "answered_by": "gpt-4o-mini",
            "insignificant": [1, 0, 0, 0, 0, 0],
            **(changes if place == 0 else {}),
        }
        for place, row in enumerate(one.to_pylist())
    ]
    judged = pa.concat_tables([one, pa.Table.from_pylist(harsh, schema=one.schema)])
    teachers = [("gpt-4", "the references"), ("llama-3", "text that it learned from")]
    return score_predictions(predictions, judged, SETTINGS, teachers=teachers)


def test_every_judge_has_rows_and_so_has_their_mean() -> None:
    scores = two_judges()
    errors = {
        judge: scores.score(f"chexprompt[{judge}]-errors").interval.value or 0.0
        for judge in ("offline-rules", "gpt-4o", "mean of 2 judges")
    }
    assert errors["gpt-4o"] == pytest.approx(errors["offline-rules"] + 1)
    assert errors["mean of 2 judges"] == pytest.approx(errors["offline-rules"] + 0.5)
    share = scores.score("chexprompt[mean of 2 judges]-error-free-share").interval
    alone = scores.score("chexprompt[offline-rules]-error-free-share").interval
    assert share.value == pytest.approx((alone.value or 0) / 2)
    assert share.low is not None and share.high is not None and share.low < share.high
    assert scores.difference("chexprompt[mean of 2 judges]-significant-errors", "blank").beats


def test_what_judges_differ_by_is_in_the_document_and_on_the_page() -> None:
    scores = two_judges()
    document = scores.to_dict()
    assert {row["control"] for row in document["disagreements"]} == {"none", "shuffled", "blank"}
    (row,) = [row for row in document["disagreements"] if row["control"] == "none"]
    assert row["mean_absolute_difference"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert row["free_disagreement"]["value"] == 0.0
    shown = disagreement_rows(scores)
    assert shown[0].judges == "offline-rules and gpt-4o"
    assert [cell.value for cell in shown[0].cells][:3] == ["1.000", "0.000", "0.000"]


def test_the_family_flag_is_in_the_document() -> None:
    (kin,) = two_judges().to_dict()["kin"]
    assert (kin["judge"], kin["teacher"], kin["families"]) == ("gpt-4o", "gpt-4", ("gpt",))
    assert "which wrote the references" in kin["warning"]


def test_one_judges_refusal_is_out_of_the_mean_alone() -> None:
    scores = two_judges(significant=None, insignificant=None, failure="refused")
    assert scores.systems["none"].judge_failures["gpt-4o"] == {"refused": 1}
    studies = {
        judge: scores.score(f"chexprompt[{judge}]-errors").signature.examples
        for judge in ("offline-rules", "gpt-4o", "mean of 2 judges")
    }
    assert studies == {"offline-rules": 40, "gpt-4o": 39, "mean of 2 judges": 39}


def test_who_answers_is_read_where_it_is_told() -> None:
    judged = judged_table(predictions_table(2))
    assert answering(judged) == {"offline-rules": frozenset()}
    told = judged.append_column("answered_by", pa.array(["a", "b"] * (judged.num_rows // 2)))
    assert answering(told) == {"offline-rules": frozenset({"a", "b"})}
    assert np.array_equal(mean_of_judges([]), [])


def test_the_page_shows_the_flag_the_disagreement_and_every_failure() -> None:
    scores = two_judges(significant=None, insignificant=None, failure="refused")
    page = ReportPage("r", "s", "today", {}, (), {}, scores)
    text = " ".join(render_report(page).split())
    assert "A judge of the writer&#39;s own family" in text or "A judge of the writer's own" in text
    assert "judge gpt-4o is of the same family (gpt) as gpt-4, which wrote the references" in text
    assert "Where judges disagree" in text and "offline-rules and gpt-4o" in text
    assert "gpt-4o judged 39, 1 refused" in text
    assert "significant errors (offline-rules)" in text, "the picture tells judges apart"
    assert "chexprompt[mean of 2 judges]-significant-errors" in text


def test_a_page_with_one_judge_of_another_family_has_neither() -> None:
    predictions = predictions_table(10)
    judged = judged_table(predictions)
    scores = score_predictions(
        predictions, judged, SETTINGS, teachers=[("gpt-4", "the references")]
    )
    text = render_report(ReportPage("r", "s", "today", {}, (), {}, scores))
    assert "own family" not in text
    assert "Where judges disagree" not in text
    assert not [score for score in scores.scores if "mean of" in score.metric]
