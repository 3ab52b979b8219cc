"""Scores of a model beside its image-blind controls."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pytest
from scores_world import (
    EFFUSION,
    NORMAL,
    SETTINGS,
    judged_row,
    judged_table,
    prediction_row,
    predictions_table,
)
from sklearn.metrics import f1_score

from evaluation.clinical import LabelMatrix
from evaluation.judged import JUDGED_SCHEMA
from evaluation.labeler import label_reports
from evaluation.scores import Scores, score_predictions
from evaluation.statistics import Interval


@pytest.fixture(scope="module")
def scores() -> Scores:
    predictions = predictions_table(60)
    return score_predictions(predictions, judged_table(predictions), SETTINGS)


def test_every_system_has_every_metric(scores: Scores) -> None:
    metrics = {
        control: [s.metric for s in scores.scores if s.control == control and not s.is_detail]
        for control in ("none", "shuffled", "blank")
    }
    assert metrics["none"] == metrics["shuffled"] == metrics["blank"]
    assert metrics["none"] == [
        "BLEU-1[sacrebleu-13a-cased]",
        "BLEU-4[sacrebleu-13a-cased]",
        "ROUGE-L[rouge-score-nostem]",
        "rule14-micro-F1",
        "rule14-macro-F1",
        "rule14-micro-F1-5",
        "rule14-macro-F1-5",
        "rule14-micro-F1[uncertain=positive]",
        "rule14-macro-F1[uncertain=positive]",
        "rule14-micro-F1-5[uncertain=positive]",
        "rule14-macro-F1-5[uncertain=positive]",
        "chexprompt[offline-rules]-significant-errors",
        "chexprompt[offline-rules]-insignificant-errors",
        "chexprompt[offline-rules]-errors",
        "chexprompt[offline-rules]-error-free-share",
        "chexprompt[offline-rules]-significant-error-free-share",
    ]


def test_the_value_is_the_metric_of_the_texts(scores: Scores) -> None:
    rows = [row for row in predictions_table(60).to_pylist() if row["control"] == "none"]
    true, told = (
        LabelMatrix.of(label_reports([row[name] for row in rows])).positive("negative")
        for name in ("reference", "prediction")
    )
    expected = f1_score(true, told, average="micro", zero_division=0)
    assert scores.score("rule14-micro-F1").interval.value == pytest.approx(expected)


def test_an_interval_holds_its_value(scores: Scores) -> None:
    for score in scores.scores:
        interval = score.interval
        assert interval.value is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high


def test_the_model_beats_its_controls_where_it_reads_the_image(scores: Scores) -> None:
    for control in ("shuffled", "blank"):
        f1 = scores.difference("rule14-micro-F1", control)
        assert f1.beats
        assert f1.difference.excludes(0.0)
        assert f1.ratio.value is not None
        assert f1.ratio.value > 1.5
        errors = scores.difference("chexprompt[offline-rules]-significant-errors", control)
        assert errors.beats
        assert errors.difference.value is not None
        assert errors.difference.value < 0


def test_a_model_that_ignores_the_image_beats_nothing() -> None:
    rows = [prediction_row(i, c, NORMAL) for i in range(40) for c in ("none", "shuffled", "blank")]
    predictions = pa.Table.from_pylist(rows)
    scores = score_predictions(predictions, judged_table(predictions), SETTINGS)
    assert len(scores.differences) == 2 * len([s for s in scores.scores if s.control == "none"])
    for difference in scores.differences:
        assert difference.difference == Interval(0.0, 0.0, 0.0)
        assert not difference.beats


def test_a_worse_model_does_not_beat_though_zero_is_excluded() -> None:
    rows = [prediction_row(i, "none", "Left pneumothorax.") for i in range(40)]
    rows += [prediction_row(i, "blank", NORMAL) for i in range(40)]
    scores = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS)
    difference = scores.difference("rule14-micro-F1", "blank")
    assert difference.difference.excludes(0.0)
    assert not difference.beats


def test_differences_are_of_the_examples_that_both_have() -> None:
    rows = [prediction_row(i, "none", NORMAL if i < 20 else EFFUSION) for i in range(40)]
    rows += [prediction_row(i, "blank", NORMAL) for i in range(20)]
    scores = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS)
    difference = scores.difference("rule14-micro-F1", "blank")
    assert difference.examples == 20
    assert difference.difference == Interval(0.0, 0.0, 0.0)
    assert scores.score("rule14-micro-F1").signature.examples == 40
    assert scores.score("rule14-micro-F1", "blank").signature.examples == 20


def test_judged_differences_are_of_the_pairs_judged_for_both() -> None:
    predictions = predictions_table(6, ("none", "blank"))
    rows = [judged_row("e0000", "none", 2), judged_row("e0001", "none", 0)]
    rows += [judged_row("e0001", "blank", 1), judged_row("e0002", "blank", 9)]
    judged = pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA)
    scores = score_predictions(predictions, judged, SETTINGS)
    name = "chexprompt[offline-rules]-significant-errors"
    assert scores.score(name).interval.value == 1.0
    assert scores.difference(name, "blank").difference.value == -1.0
    assert scores.difference(name, "blank").examples == 1


def test_kinds_of_error_are_details(scores: Scores) -> None:
    name = "chexprompt[offline-rules]-significant-missing-finding"
    detail, errors = scores.score(name), scores.score("chexprompt[offline-rules]-errors")
    assert detail.is_detail
    assert detail.interval == errors.interval
    other = scores.score("chexprompt[offline-rules]-significant-wrong-location")
    assert other.interval == Interval(0.0, 0.0, 0.0)


def test_the_recipes_policy_has_the_plain_name() -> None:
    text = "Possible pulmonary edema."
    rows = [prediction_row(i, "none", text, reference="Pulmonary edema.") for i in range(4)]
    table = pa.Table.from_pylist(rows)
    negative = score_predictions(table, None, SETTINGS)
    positive = score_predictions(
        table, None, SETTINGS.model_copy(update={"uncertain_as": "positive"})
    )
    assert negative.score("rule14-micro-F1").interval.value == 0.0
    assert negative.score("rule14-micro-F1[uncertain=positive]").interval.value == 1.0
    assert positive.score("rule14-micro-F1").interval.value == 1.0
    assert positive.score("rule14-micro-F1[uncertain=negative]").interval.value == 0.0
    assert positive.score("rule14-micro-F1").signature.uncertain_as == "positive"


def test_per_label_scores_of_every_system(scores: Scores) -> None:
    assert set(scores.labels) == {"none", "shuffled", "blank"}
    effusion = next(r for r in scores.labels["none"] if r.observation == "Pleural Effusion")
    assert (effusion.support, effusion.told, effusion.precision) == (15, 12, 1.0)
    blind = next(r for r in scores.labels["blank"] if r.observation == "Pleural Effusion")
    assert (blind.support, blind.told, blind.f1) == (15, 0, 0.0)


def test_what_cannot_be_measured_says_why(scores: Scores) -> None:
    assert {name.partition("[")[0] for name in scores.unavailable} == {
        *(f"CheXbert-{kind}-F1-{labels}" for kind in ("micro", "macro") for labels in (14, 5)),
        *("RadGraph-F1", "BERTScore", "SembScore", "RadCliQ-v0", "RadCliQ-v1", "RaTEScore"),
        *("GREEN", "METEOR"),
    }
    reasons = dict(scores.unavailable)
    assert reasons.pop("GREEN").startswith("not implemented here"), "weights would not help"
    assert all(reason.startswith("needs ") for reason in reasons.values())
    without = score_predictions(predictions_table(4), None, SETTINGS)
    assert without.unavailable["chexprompt"] == "no judge was asked"
    assert not [score for score in without.scores if "chexprompt" in score.metric]


def test_a_signature_says_it_all(scores: Scores) -> None:
    assert str(scores.score("rule14-micro-F1-5").signature) == (
        "rule14-micro-F1-5|implementation:cxrflow rule14|version:1|scale:0-1|level:corpus"
        "|section:findings|studies:60|subjects:30|examples:60"
        "|interval:bootstrap percentile 95%|resamples:200|seed:3|unit:subject"
        "|empty_output:all unmentioned"
        "|labels:Cardiomegaly, Edema, Consolidation, Atelectasis, Pleural Effusion"
        "|uncertain_as:negative|cleaner:none"
    )
    bleu = scores.score("BLEU-4[sacrebleu-13a-cased]").signature.fields()
    assert (bleu["tokenizer"], bleu["case"], bleu["scale"]) == ("13a", "kept", "0-100")
    assert re.fullmatch(r"\d+\.\d+\.\d+", str(bleu["version"]))
    judge = scores.score("chexprompt[offline-rules]-errors").signature
    assert (judge.judge, judge.version) == ("offline-rules", "v1")


def test_empty_and_cut_predictions_are_scored_and_counted() -> None:
    rows = [prediction_row(i, "none", "", finish_reason="length") for i in range(4)]
    scores = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS)
    assert (scores.systems["none"].empty, scores.systems["none"].cut_short) == (4, 4)
    for metric in ("BLEU-4[sacrebleu-13a-cased]", "ROUGE-L[rouge-score-nostem]", "rule14-micro-F1"):
        assert scores.score(metric).interval.value == 0.0


def test_failures_of_a_judge_are_counted() -> None:
    predictions = predictions_table(4, ("none",))
    rows = [judged_row(f"e{i:04}", "none", 0) for i in range(3)]
    rows.append(
        judged_row("e0003", "none", 0, significant=None, insignificant=None, failure="refused")
    )
    judged = pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA)
    counts = score_predictions(predictions, judged, SETTINGS).systems["none"]
    assert counts.judged == {"offline-rules": 3}
    assert counts.judge_failures == {"offline-rules": {"refused": 1}}


def test_scores_do_not_depend_on_the_order_of_rows(scores: Scores) -> None:
    predictions = predictions_table(60)
    mixed = predictions.take(list(reversed(range(predictions.num_rows))))
    again = score_predictions(mixed, judged_table(mixed), SETTINGS)
    assert json.dumps(again.to_dict()) == json.dumps(scores.to_dict())
    assert again.examples.equals(scores.examples)


def test_json_has_only_plain_finite_values(scores: Scores) -> None:
    text = json.dumps(scores.to_dict(), allow_nan=False)
    data = json.loads(text)
    assert (data["format"], data["studies"], data["subjects"]) == (1, 60, 30)
    row = next(r for r in data["differences"] if r["metric"] == "rule14-micro-F1")
    assert set(row) == {
        "metric", "control", "value", "low", "high", "ratio", "excludes_zero", "beats",
        "higher_is_better", "examples",
    }  # fmt: skip
    assert row["excludes_zero"] is True


def test_tracked_names_are_ones_that_mlflow_accepts(scores: Scores) -> None:
    tracked = scores.tracked()
    assert tracked["none/rule14-micro-F1"] == scores.score("rule14-micro-F1").interval.value
    assert "blank/chexprompt.offline-rules-significant-errors" in tracked
    assert all(re.fullmatch(r"[\w./: -]+", name) for name in tracked)


def test_an_unknown_score_is_a_key_error(scores: Scores) -> None:
    with pytest.raises(KeyError, match="CheXbert-F1 of none"):
        scores.score("CheXbert-F1")
    with pytest.raises(KeyError, match="rule14-micro-F1 against none"):
        scores.difference("rule14-micro-F1", "none")


def test_rows_of_examples_hold_numbers_and_labels_but_no_text(scores: Scores) -> None:
    rows = {(r["example_id"], r["control"]): r for r in scores.examples.to_pylist()}
    assert len(rows) == 180
    wrong = rows["e0005", "none"]
    assert wrong["rule14_f1"] == 0.0
    assert (wrong["true_positive"], wrong["false_positive"], wrong["missed"]) == (0, 1, 1)
    assert (wrong["judge"], wrong["significant_errors"]) == ("offline-rules", 1)
    assert {"observation": "Pleural Effusion", "value": "positive"} in wrong["reference_labels"]
    assert rows["e0006", "none"]["rule14_f1"] == 1.0
    texts = [value for row in rows.values() for value in row.values() if isinstance(value, str)]
    assert max(len(text) for text in texts) < 20


def test_an_example_that_was_not_judged_has_no_counts() -> None:
    predictions = predictions_table(2, ("none",))
    judged = pa.Table.from_pylist([judged_row("e0000", "none", 1)], schema=JUDGED_SCHEMA)
    rows = score_predictions(predictions, judged, SETTINGS).examples.to_pylist()
    assert [(r["judge"], r["significant_errors"]) for r in rows] == [
        ("offline-rules", 1),
        ("offline-rules", None),
    ]
