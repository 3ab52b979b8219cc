"""Predictions of the model and its controls, aligned by example or refused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from scores_world import NORMAL, prediction_row, predictions_table

from evaluation.controls import read_outputs
from infra.errors import InputError


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def test_systems_are_aligned_by_example_whatever_the_order_of_rows() -> None:
    straight = predictions_table(6)
    mixed = straight.take(list(reversed(range(straight.num_rows))))
    assert read_outputs(mixed).example_ids == tuple(f"e{i:04}" for i in range(6))
    for control in ("none", "shuffled", "blank"):
        one, two = (read_outputs(t).written[control] for t in (straight, mixed))
        assert one.predictions == two.predictions
        assert one.rows.tolist() == two.rows.tolist() == list(range(6))


def test_a_control_may_lack_examples() -> None:
    outputs = read_outputs(
        table(
            prediction_row(0, "none", NORMAL),
            prediction_row(1, "none", NORMAL),
            prediction_row(1, "blank", NORMAL),
        )
    )
    assert list(outputs.written) == ["none", "blank"]
    assert outputs.written["blank"].rows.tolist() == [1]


def test_ids_are_unique_over_sources_and_an_unknown_subject_is_its_study() -> None:
    outputs = read_outputs(
        table(
            prediction_row(0, "none", NORMAL, study_id="1", subject_id="7"),
            prediction_row(1, "none", NORMAL, study_id="1", subject_id="7", source="brax"),
            prediction_row(2, "none", NORMAL, study_id="2", subject_id=None),
            prediction_row(3, "none", NORMAL, study_id="2", subject_id=None),
        )
    )
    assert len(set(outputs.studies)) == 3
    assert len(set(outputs.subjects)) == 3
    assert outputs.subjects[2] == outputs.subjects[3]


def test_empty_and_cut_texts_are_counted() -> None:
    written = read_outputs(
        table(
            prediction_row(0, "none", "  "),
            prediction_row(1, "none", None),
            prediction_row(2, "none", NORMAL, finish_reason="length"),
        )
    ).written["none"]
    assert (written.empty, written.cut_short) == (2, 1)
    assert written.predictions[1] == ""


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [prediction_row(0, "blank", NORMAL)],
            "found predictions without a row of control 'none'; expected the model's own; "
            "generate the predictions again",
        ),
        (
            [prediction_row(0, "none", NORMAL), prediction_row(0, "none", NORMAL)],
            "found example 'e0000' twice for control 'none'; expected each example once; "
            "generate the predictions again",
        ),
        (
            [prediction_row(0, "none", NORMAL), prediction_row(1, "blank", NORMAL)],
            "found example 'e0001' of control 'blank' alone; expected the model's examples; "
            "generate the predictions again",
        ),
        (
            [prediction_row(0, "none", NORMAL, control="dark")],
            "found control 'dark'; expected one of none, shuffled, blank, without-first, "
            "first-alone; generate the predictions again",
        ),
        (
            [
                prediction_row(0, "none", NORMAL),
                prediction_row(0, "shuffled", NORMAL, image_study_id="s0000"),
            ],
            "found shuffled example 'e0000' shown its own study; expected another study's image; "
            "generate the predictions again",
        ),
    ],
)
def test_what_does_not_fit_is_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_outputs(table(*rows))
    assert str(caught.value) == message


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="found predictions without column 'reference';"):
        read_outputs(predictions_table(2).drop_columns(["reference"]))


def test_another_source_may_use_the_same_study_id() -> None:
    outputs = read_outputs(
        table(
            prediction_row(0, "none", NORMAL, study_id="1"),
            prediction_row(1, "none", NORMAL, study_id="1", source="brax"),
            prediction_row(0, "shuffled", NORMAL, study_id="1", image_study_id="1"),
        )
    )
    assert outputs.written["shuffled"].image_study_ids == ("1",)
