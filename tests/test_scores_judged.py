"""A judge's table: what is asked, what is counted, what is refused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from scores_world import judged_row, judged_table, prediction_row, predictions_table

from evaluation.judged import COLUMNS, JUDGED_SCHEMA, choose_judged, read_judged
from infra.errors import InputError

PLACES = {"a": 0, "b": 1, "c": 2}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=JUDGED_SCHEMA)


def test_all_predictions_are_chosen_without_a_limit() -> None:
    predictions = predictions_table(10)
    assert choose_judged(predictions, None, 3) is predictions
    assert choose_judged(predictions, 10, 3) is predictions


def test_a_study_is_chosen_with_all_of_its_controls() -> None:
    chosen = choose_judged(predictions_table(30), 8, seed=3)
    assert chosen.num_rows == 8 * 3
    by_control = {
        control: sorted(r["example_id"] for r in chosen.to_pylist() if r["control"] == control)
        for control in ("none", "shuffled", "blank")
    }
    assert by_control["none"] == by_control["shuffled"] == by_control["blank"]
    assert len(by_control["none"]) == 8


def test_the_choice_follows_the_seed_and_not_the_order_of_rows() -> None:
    predictions = predictions_table(30)
    mixed = predictions.take(list(reversed(range(predictions.num_rows))))

    def ids(chosen: pa.Table) -> set[str]:
        return set(chosen["example_id"].to_pylist())

    assert ids(choose_judged(predictions, 8, 3)) == ids(choose_judged(mixed, 8, 3))
    assert ids(choose_judged(predictions, 8, 3)) != ids(choose_judged(predictions, 8, 4))


def test_studies_of_two_sources_are_two_studies() -> None:
    rows = [
        prediction_row(0, "none", "x", study_id="1"),
        prediction_row(1, "none", "x", study_id="1", source="brax"),
    ]
    assert choose_judged(pa.Table.from_pylist(rows), 1, 3).num_rows == 1


def test_counts_are_by_category_and_in_sum() -> None:
    row = judged_row(
        "b", "none", 0, significant=[1, 0, 2, 0, 0, 0], insignificant=[0, 0, 0, 1, 0, 0]
    )
    (found,) = read_judged(table(row), PLACES)
    assert (found.judge, found.judge_version, found.control) == ("offline-rules", "v1", "none")
    values = {name: float(found.column(name)[1]) for name in COLUMNS}
    assert {name: value for name, value in values.items() if value} == {
        "significant false finding": 1.0,
        "significant wrong location": 2.0,
        "insignificant wrong severity": 1.0,
        "significant errors": 3.0,
        "insignificant errors": 1.0,
        "errors": 4.0,
        "judged": 1.0,
    }
    assert found.counts[[0, 2]].sum() == 0


def test_a_report_without_significant_errors_is_free_of_them() -> None:
    (found,) = read_judged(table(judged_row("a", "none", 0, 1), judged_row("b", "none", 0)), PLACES)
    assert found.column("error-free").tolist() == [0.0, 1.0, 0.0]
    assert found.column("significant-error-free").tolist() == [1.0, 1.0, 0.0]


def test_a_failure_is_counted_and_never_error_free() -> None:
    failed = judged_row("a", "none", 0, significant=None, insignificant=None, failure="refused")
    (found,) = read_judged(table(failed, judged_row("b", "none", 2)), PLACES)
    assert dict(found.failures) == {"refused": 1}
    assert found.column("judged").tolist() == [0.0, 1.0, 0.0]
    assert found.column("error-free").tolist() == [0.0, 0.0, 0.0]


def test_judges_and_controls_are_kept_apart() -> None:
    rows = [
        judged_row("a", "none", 1),
        judged_row("a", "blank", 2),
        judged_row("a", "none", 3, judge="other"),
    ]
    found = {(i.judge, i.control): i.column("errors")[0] for i in read_judged(table(*rows), PLACES)}
    assert found == {
        ("offline-rules", "none"): 1.0,
        ("offline-rules", "blank"): 2.0,
        ("other", "none"): 3.0,
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [judged_row("z", "none", 0)],
            "found judged example 'z'; expected an example of the predictions; "
            "judge the predictions again",
        ),
        (
            [judged_row("a", "none", 0), judged_row("a", "none", 0)],
            "found example 'a' judged twice by 'offline-rules'; expected once; "
            "judge the predictions again",
        ),
        (
            [judged_row("a", "none", 0), judged_row("b", "none", 0, judge_version="v2")],
            "found versions v1 and v2 of judge 'offline-rules'; expected one version; "
            "judge the predictions again",
        ),
        (
            [judged_row("a", "none", 0, insignificant=[0, 0])],
            "found 6 and 2 counts for example 'a'; expected 6 significant and 6 insignificant "
            "ones; judge the predictions again",
        ),
        (
            [judged_row("a", "none", 0, significant=None)],
            "found 0 and 6 counts for example 'a'; expected 6 significant and 6 insignificant "
            "ones; judge the predictions again",
        ),
    ],
)
def test_what_does_not_fit_is_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_judged(table(*rows), PLACES)
    assert str(caught.value) == message


def test_a_missing_column_is_named_and_more_columns_are_welcome() -> None:
    judged = judged_table(predictions_table(2))
    with pytest.raises(InputError, match="found judged pairs without column 'failure';"):
        read_judged(judged.drop_columns(["failure"]), {"e0000": 0, "e0001": 1})
    more = judged.append_column("cost_usd", pa.array([0.1] * judged.num_rows))
    assert len(read_judged(more, {"e0000": 0, "e0001": 1})) == 3
