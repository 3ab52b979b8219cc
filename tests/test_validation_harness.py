"""Agreement with raters on cases worked out by hand and on made-up raters of known quality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from validation_world import made_pairs, rated, write_csv, write_rexval

from evaluation.interval_text import interval_text
from evaluation.statistics import Floats
from evaluation.validation.harness import Agreement, Validation, validate
from evaluation.validation.page import as_markdown, as_picture
from evaluation.validation.pair_metrics import (
    PairMetric,
    outside_metrics,
    text_metrics,
    unavailable_metrics,
)
from evaluation.validation.ratings import Ratings, read_ratings
from evaluation.validation.rexval import read_rexval

HAND = """study,candidate,rater,significant_errors
s1,a,x,0
s1,b,x,2
s2,a,x,1
s2,b,x,3
s1,a,y,0
s1,b,y,1
s2,a,y,2
s2,b,y,3
"""
"""Rater x counts 0 2 1 3, y counts 0 1 2 3: they order one pair of six differently."""


def agreement(found: Validation, metric: str, target: str = "significant") -> Agreement:
    (item,) = [a for a in found.agreements if (a.metric, a.target) == (metric, target)]
    return item


def by_hand(tmp_path: Path, values: list[float], higher: bool = False, **more: object) -> Agreement:
    path = tmp_path / "hand.csv"
    path.write_text(HAND)
    metric = PairMetric("m", np.array(values), higher, **more)  # type: ignore[arg-type]
    return agreement(validate("hand", read_ratings(path), [metric], {}, 20, 1), "m")


def test_a_metric_that_counts_is_measured_in_errors(tmp_path: Path) -> None:
    """The raters' mean is 0, 1.5, 1.5, 3: its pairs are five, all but the tied one."""
    found = by_hand(tmp_path, [0, 1, 2, 3], counts="significant")
    assert found.tau.value == pytest.approx(5 / (6 * 5) ** 0.5)
    assert found.difference.value == pytest.approx((0 + 0.5 + 0.5 + 0) / 4)
    assert found.left_in_tau.value == pytest.approx((4 / 6 + 1) / 2)
    assert found.left_in_difference.value == pytest.approx((2 / 4 + 0) / 2)
    assert found.over_ceiling.value == pytest.approx(5 / 6 - 4 / 6)
    assert (found.pairs, found.studies, found.units) == (4, 2, "counted")


def test_higher_is_better_is_negated_first(tmp_path: Path) -> None:
    values = [0.0, 1.0, 2.0, 3.0]
    lower, higher = by_hand(tmp_path, values), by_hand(tmp_path, values, higher=True)
    assert lower.tau.value == pytest.approx(5 / 30**0.5)
    assert higher.tau.value == pytest.approx(-5 / 30**0.5)
    best = by_hand(tmp_path, [1.0, 0.5, 0.5, 0.0], higher=True)
    assert best.tau.value == pytest.approx(1.0)


def test_other_units_are_fitted_on_the_other_studies_alone(tmp_path: Path) -> None:
    """Of study 2 (values 20, 40; errors 1.5, 3) the line is 0.075 a unit; study 1 is told by it."""
    found = by_hand(tmp_path, [0.0, 10.0, 20.0, 40.0])
    assert found.units == "fitted"
    first = [abs(1.5 + 0.075 * (0 - 20) - 0), abs(1.5 + 0.075 * (10 - 20) - 1.5)]
    second = [abs(0.15 * 20 - 1.5), abs(0.15 * 40 - 3)]
    assert found.difference.value == pytest.approx(np.mean([*first, *second]))


def test_raters_left_out_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "hand.csv"
    path.write_text(HAND)
    (ceiling,) = validate("hand", read_ratings(path), [], {}, 20, 1).ceilings
    assert ceiling.target == "significant"
    assert [(item.rater, item.pairs) for item in ceiling.raters] == [("x", 4), ("y", 4)]
    assert [item.tau for item in ceiling.raters] == pytest.approx([4 / 6, 4 / 6])
    assert [item.difference for item in ceiling.raters] == pytest.approx([0.5, 0.5])
    assert ceiling.mean_errors == pytest.approx(1.5)


def test_a_single_rater_has_no_ceiling(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(line for line in HAND.splitlines() if ",y," not in line))
    metric = PairMetric("m", np.array([0.0, 1, 2, 3]), False)
    found = validate("one", read_ratings(path), [metric], {}, 20, 1)
    assert found.ceilings == ()
    item = agreement(found, "m")
    assert item.tau.value == pytest.approx(4 / 6)
    assert (item.left_in_tau.value, item.over_ceiling.value) == (None, None)
    assert "a rater, left out" not in as_markdown(found)
    assert "<svg" in as_picture(found)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ratings:
    path = tmp_path_factory.mktemp("made") / "ratings.csv"
    return read_ratings(write_csv(path, rated(made_pairs(40, 3), raters=4, noise=0.4)))


@pytest.fixture(scope="module")
def validated(made: Ratings) -> Validation:
    truth = np.array([(pair.reference or "").count(".") for pair in made.pairs], dtype=float)
    lost = truth - [(pair.prediction or "").count(".") for pair in made.pairs]
    metrics = [
        *text_metrics(made.pairs),
        PairMetric("true-count", lost, False, "significant"),
        PairMetric("true-count", lost, False, "all"),
        PairMetric("noise", np.random.default_rng(4).random(len(lost)), True),
    ]
    return validate("made", made, metrics, unavailable_metrics(True, False, "needs Java"), 200, 3)


def test_the_truth_beats_every_rater(validated: Validation) -> None:
    ceiling = validated.ceiling("significant")
    assert ceiling is not None and len(ceiling.raters) == 4
    found = agreement(validated, "true-count")
    assert found.over_ceiling.low is not None and found.over_ceiling.low > 0
    assert found.left_in_difference.value < ceiling.difference.value  # type: ignore[operator]


def test_metrics_are_ranked_as_they_were_made(validated: Validation) -> None:
    tau = {
        name: agreement(validated, name).tau.value or 0.0
        for name in {item.metric for item in validated.agreements if item.target == "significant"}
    }
    assert tau["true-count"] > tau["ROUGE-L[rouge-score-nostem]"] > 0.6
    assert tau["rule14-F1[of one pair]"] > 0.5
    assert abs(tau["noise"]) < 0.2
    assert agreement(validated, "constant[control]").tau.value is None
    noise = agreement(validated, "noise")
    constant = agreement(validated, "constant[control]")
    assert noise.difference.value == pytest.approx(constant.difference.value, rel=0.05)  # type: ignore[arg-type]


def test_the_values_are_scipys_and_the_intervals_hold_them(
    made: Ratings, validated: Validation
) -> None:
    metrics = {item.name: item for item in text_metrics(made.pairs)}
    mean: Floats = made.totals[:, :, 0].mean(axis=0)
    for name, item in metrics.items():
        found = agreement(validated, name).tau
        if found.value is not None:
            sign = -1 if item.higher_is_better else 1
            assert found.value == pytest.approx(kendalltau(sign * item.values, mean).statistic)
            assert found.low is not None and found.high is not None
            assert found.low < found.value < found.high


def test_an_interval_draws_studies_not_pairs(tmp_path: Path) -> None:
    """The same pair ten times over is no more evidence: the interval stays as wide."""
    base = made_pairs(15, 1, seed=2)
    copies = [{**pair, "candidate": f"c{n}"} for pair in base for n in range(10)]
    widths = []
    for name, pairs in (("once", base), ("often", copies)):
        ratings = read_ratings(write_csv(tmp_path / f"{name}.csv", rated(pairs, 1, 0.0)))
        found = agreement(
            validate(name, ratings, text_metrics(ratings.pairs), {}, 400, 3),
            "ROUGE-L[rouge-score-nostem]",
        ).tau
        assert found.low is not None and found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.35)


def test_missing_values_and_ratings_are_left_out_and_counted(made: Ratings) -> None:
    values = np.arange(len(made.pairs), dtype=float)
    values[::4] = np.nan
    totals = made.totals.copy()
    totals[:, 1] = np.nan
    totals[0, :60] = np.nan
    holed = Ratings(
        made.pairs, made.raters, made.kinds, totals, made.outside, made.rows_in, made.rejected
    )
    found = validate("holed", holed, [PairMetric("m", values, True)], {}, 20, 3)
    assert agreement(found, "m").pairs == len(values) - 30 - 1
    ceiling = found.ceiling("significant")
    assert ceiling is not None
    assert [item.pairs for item in ceiling.raters] == [60, 119, 119, 119]


def test_given_metrics_are_rated_with_their_direction(tmp_path: Path) -> None:
    rows = [
        {
            **row,
            "higher:MyF1": 1 - row["errors"] / 10,
            "lower:MyLoss": "" if n % 2 else row["errors"],
        }
        for n, row in enumerate(rated(made_pairs(20, 2), raters=1, noise=0.0))
    ]
    ratings = read_ratings(write_csv(tmp_path / "x.csv", rows))
    found = validate("given", ratings, outside_metrics(ratings), {}, 20, 3)
    assert agreement(found, "MyF1[given]").tau.value == pytest.approx(1.0)
    assert agreement(found, "MyLoss[given]").tau.value == pytest.approx(1.0)
    assert agreement(found, "MyLoss[given]").pairs == 20


def test_without_texts_metrics_say_why(tmp_path: Path) -> None:
    path = tmp_path / "hand.csv"
    path.write_text(HAND)
    ratings = read_ratings(path)
    assert text_metrics(ratings.pairs) == []
    reasons = unavailable_metrics(False, True, "needs Java")
    assert (
        reasons["ROUGE-L"]
        == reasons["chexprompt"]
        == ("needs reference and prediction beside the ratings")
    )
    assert {"CheXbert-F1", "RadGraph-F1", "METEOR"} <= set(reasons)
    lacking = unavailable_metrics(True, False, "needs Java")
    assert lacking["chexprompt"] == "no judge was asked"
    assert lacking["METEOR"] == "needs Java"
    page = as_markdown(validate("hand", ratings, [], reasons, 20, 1))
    assert "- BLEU: unavailable: needs reference and prediction" in page


def test_rexval_runs_end_to_end(tmp_path: Path) -> None:
    ratings = read_rexval(write_rexval(tmp_path, studies=8, raters=6))
    found = validate("ReXVal", ratings, text_metrics(ratings.pairs), {}, 100, 3)
    assert (found.pairs, found.studies, found.raters) == (32, 8, 6)
    assert {item.target for item in found.ceilings} == {"significant", "all"}
    assert (agreement(found, "ROUGE-L[rouge-score-nostem]").tau.value or 0) > 0.8


def test_kinds_are_set_beside_the_raters_cell_by_cell(tmp_path: Path) -> None:
    rows = [
        {"study": s, "candidate": "c", "rater": r, "category": 2, "significant": 1, "errors": n}
        for s, r, n in (("a", "x", 2), ("a", "y", 1), ("b", "x", 0))
    ]
    ratings = read_ratings(write_csv(tmp_path / "long.csv", rows))
    told = np.zeros((2, 2, 6))
    told[:, 0, 1] = 1.0, np.nan
    told[:, 1, 5] = 3.0, 1.0
    found = validate("kinds", ratings, [], {}, 20, 3, {"j": told})
    cells = {(item.tier, item.kind): item for item in found.kinds}
    assert len(cells) == 12
    omitted = cells["significant", "omission_finding"]
    assert (omitted.pairs, omitted.raters_mean, omitted.judge_mean) == (1, 1.5, 1.0)
    assert omitted.difference == pytest.approx(0.5)
    extra = cells["insignificant", "omission_comparison"]
    assert (extra.pairs, extra.raters_mean, extra.judge_mean, extra.difference) == (2, 0, 2, 2)
    assert "| j | omission finding | significant | 1 | 1.500 | 1.000 | 0.500 |" in (
        as_markdown(found)
    )


def test_totals_alone_tell_no_kinds(made: Ratings) -> None:
    told = np.zeros((len(made.pairs), 2, 6))
    assert validate("totals", made, [], {}, 20, 3, {"j": told}).kinds == ()


def test_the_document_and_the_page_say_the_same(validated: Validation) -> None:
    document = json.loads(json.dumps(validated.to_dict(), allow_nan=False))
    assert document["format"] == 1
    page = as_markdown(validated)
    best = agreement(validated, "true-count")
    assert interval_text(best.tau) in page and f"`{best.metric}`" in page
    assert page.index("`true-count`") < page.index("`noise`")
    assert "480 rows read, 0 rejected" in page
    assert "unavailable: needs RadGraph's weights" in page
    assert page == as_markdown(validated)


def test_the_picture_is_repeatable_and_names_every_metric(validated: Validation) -> None:
    picture = as_picture(validated)
    assert picture == as_picture(validated)
    for words in ("ROUGE-L", "rule14-F1", "length-difference", "a rater, left out", "All errors"):
        assert words in picture
    assert "constant" not in picture, "what has no tau is no point"
