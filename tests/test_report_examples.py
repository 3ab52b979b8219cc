"""Which predictions the page shows as the best and the worst."""

from __future__ import annotations

import pyarrow as pa
import pytest
from scores_world import SETTINGS, judged_table, predictions_table

from evaluation.report import choose_examples
from evaluation.scores import Scores, score_predictions


@pytest.fixture(scope="module")
def scores() -> Scores:
    predictions = predictions_table(60)
    return score_predictions(predictions, judged_table(predictions), SETTINGS)


def test_best_and_worst_examples_are_chosen_by_errors_then_f1(scores: Scores) -> None:
    best, worst = choose_examples(scores.examples, 4)
    rows = {r["example_id"]: r for r in scores.examples.to_pylist() if r["control"] == "none"}
    assert [rows[name]["significant_errors"] for name in best] == [0, 0, 0, 0]
    assert [rows[name]["significant_errors"] for name in worst] == [1, 1, 1, 1]
    assert not set(best) & set(worst)
    findings = {label["observation"] for name in best for label in rows[name]["reference_labels"]
                if label["value"] == "positive"}  # fmt: skip
    assert findings - {"No Finding"}


def test_what_no_judge_judged_is_neither_best_nor_worst(scores: Scores) -> None:
    """No count is not a count of none."""
    rows = scores.examples.to_pylist()
    own = [row for row in rows if row["control"] == "none"]
    judged = {row["example_id"] for row in own if row["significant_errors"] == 1}
    for row in rows:
        row["significant_errors"] = 1 if row["example_id"] in judged else None
    table = pa.Table.from_pylist(rows, schema=scores.examples.schema)
    best, worst = choose_examples(table, 3)
    assert {*best, *worst} <= judged
    assert best
    assert worst


@pytest.mark.parametrize(
    ("count", "expected"), [(0, (0, 0)), (1, (0, 1)), (3, (1, 2)), (9, (3, 3))]
)
def test_few_examples_are_shown_once(count: int, expected: tuple[int, int]) -> None:
    if not count:
        empty = score_predictions(predictions_table(4), None, SETTINGS).examples.slice(0, 0)
        assert choose_examples(empty, 3) == ([], [])
        return
    table = score_predictions(predictions_table(count, ("none",)), None, SETTINGS).examples
    best, worst = choose_examples(table, 3)
    assert (len(best), len(worst)) == expected
    assert not set(best) & set(worst)
