"""Scores written as JSON and read back are the same scores."""

from __future__ import annotations

import json

import pytest
from scores_world import SETTINGS, judged_table, predictions_table

from evaluation.scores import score_predictions
from evaluation.scores_file import scores_from_dict
from infra.errors import InputError


def test_scores_come_back_whole() -> None:
    predictions = predictions_table(12)
    scores = score_predictions(predictions, judged_table(predictions), SETTINGS)
    back = scores_from_dict(json.loads(json.dumps(scores.to_dict())), scores.examples)
    assert back == scores
    assert back.to_dict() == scores.to_dict()


def test_unknown_intervals_come_back_unknown() -> None:
    scores = score_predictions(predictions_table(2), None, SETTINGS)
    back = scores_from_dict(json.loads(json.dumps(scores.to_dict())), scores.examples)
    assert [d.ratio for d in back.differences] == [d.ratio for d in scores.differences]


@pytest.mark.parametrize("data", [{}, {"format": 99}])
def test_another_format_is_refused(data: dict[str, int]) -> None:
    examples = score_predictions(predictions_table(2), None, SETTINGS).examples
    with pytest.raises(InputError) as caught:
        scores_from_dict(data, examples)
    assert str(caught.value) == (
        f"found scores of format {data.get('format')}; expected format 1; evaluate again"
    )
