"""A model beside its controls, drawn anew: what the scoring itself finds, by its own draws."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
import pytest
from answers_world import predictions_of, yes_and_no
from scores_world import predictions_table

from evaluation.answer_scores import score_predicted
from evaluation.beside_controls import answer_pair, report_pair
from evaluation.judged import JUDGED_SCHEMA
from evaluation.paired import paired_difference
from evaluation.scores import score_predictions
from evaluation.statistics import Interval
from infra.settings.sections import ScoreSettings

SETTINGS = ScoreSettings(bootstrap_resamples=60, seed=5, judges=())
F1 = "rule14-micro-F1"
NO_JUDGE = JUDGED_SCHEMA.empty_table()


def kept(document: dict[str, Any], metric: str, control: str) -> Interval:
    [found] = [
        row
        for row in document["differences"]
        if (row["metric"], row["control"], row.get("group", "all")) == (metric, control, "all")
    ]
    return Interval(found["value"], found["low"], found["high"])


@pytest.mark.parametrize("control", ["shuffled", "blank"])
@pytest.mark.parametrize("asked", [40, 30])
def test_reports_differ_from_a_controls_as_the_scoring_says(control: str, asked: int) -> None:
    """Also where the control was asked fewer than the model."""
    table = predictions_table()
    fewer = pc.less(pc.utf8_slice_codeunits(table["example_id"], 1).cast("int64"), asked)
    table = table.filter(pc.or_(pc.equal(table["control"], "none"), fewer))
    scores = score_predictions(table, NO_JUDGE, SETTINGS)
    pair = report_pair(table, scores.counts, NO_JUDGE, SETTINGS, control)
    assert pair is not None
    model, other = pair
    assert model.outputs.example_ids == other.outputs.example_ids
    assert len(other.outputs.example_ids) == asked
    found = paired_difference(other, model, F1, 60, 5)
    assert found is not None
    if asked == 40:
        assert found.difference == kept(scores.to_dict(), F1, control)
    assert report_pair(table, scores.counts, NO_JUDGE, SETTINGS, "first-alone") is None


@pytest.mark.parametrize("control", ["shuffled", "majority"])
def test_answers_differ_from_a_controls_as_the_scoring_says(control: str) -> None:
    questions = yes_and_no()
    said = predictions_of(questions)
    pair = answer_pair(said, questions, control)
    document = score_predicted(said, questions, resamples=60, seed=5).to_dict()
    assert pair is not None
    found = paired_difference(pair[1], pair[0], "closed-accuracy", 60, 5)
    assert found is not None
    assert found.difference == kept(document, "closed-accuracy", control)
    assert answer_pair(said, questions, "blank-films") is None
