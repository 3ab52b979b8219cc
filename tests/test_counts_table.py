"""The stored counts: every family of every system, back as it went in."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scores_world import SETTINGS, judged_table, predictions_table

from evaluation.clinical import micro_f1
from evaluation.counts_table import KEYS, VERSIONS, no_counts, read_counts
from evaluation.lexical import corpus_bleu
from evaluation.scores import Scores, nothing_scored, score_predictions
from infra.errors import InputError


@pytest.fixture(scope="module")
def scores() -> Scores:
    predictions = predictions_table(20)
    return score_predictions(predictions, judged_table(predictions), SETTINGS)


def test_every_score_can_be_had_from_them(scores: Scores) -> None:
    for control in ("none", "shuffled", "blank"):
        counts = read_counts(scores.counts, control, ["bleu", "rule14-negative"])
        bleu = float(corpus_bleu(counts["bleu"].sum(axis=0)))
        assert bleu == scores.score("BLEU-4[sacrebleu-13a-cased]", control).interval.value
        f1 = float(micro_f1(counts["rule14-negative"].sum(axis=0)))
        assert f1 == scores.score("rule14-micro-F1", control).interval.value


def test_a_slice_is_the_same_counts_over_fewer_rows(scores: Scores) -> None:
    table = scores.counts.filter(pc.equal(scores.counts["subject_id"], "p0001"))
    assert table.num_rows == 2 * 3
    own_rows = predictions_table(20, ("none",)).to_pylist()
    rows = [row for row in own_rows if row["subject_id"] == "p0001"]
    alone = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS)
    counts = read_counts(table, "none", ["rouge"])["rouge"]
    own = alone.score("ROUGE-L[rouge-score-nostem]").interval.value
    assert own == pytest.approx(counts[:, 0].mean())


def test_keys_and_versions_come_along(scores: Scores) -> None:
    assert tuple(scores.counts.column_names[: len(KEYS)]) == KEYS
    versions = json.loads(scores.counts.schema.metadata[VERSIONS])
    assert {"bleu", "rouge", "rule14", "bleu coco-split-cased"} <= set(versions)
    assert "judge offline-rules" in scores.counts.column_names


def test_they_survive_parquet(scores: Scores) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(scores.counts, sink)
    back = pq.read_table(pa.BufferReader(sink.getvalue()))
    one, other = (read_counts(table, "none", ["bleu"])["bleu"] for table in (scores.counts, back))
    assert np.array_equal(one, other)


def test_a_family_that_is_not_there_is_named(scores: Scores) -> None:
    with pytest.raises(InputError, match="found no counts of 'radgraph' for 'none'"):
        read_counts(scores.counts, "none", ["radgraph"])


def test_a_system_without_a_family_has_nulls() -> None:
    predictions = predictions_table(6)
    judged = judged_table(predictions)
    judged = judged.filter(pc.equal(judged["control"], "none"))
    counts = score_predictions(predictions, judged, SETTINGS).counts
    assert read_counts(counts, "none", ["judge offline-rules"])
    with pytest.raises(InputError, match="for 'blank'"):
        read_counts(counts, "blank", ["judge offline-rules"])


def test_nothing_has_keys_and_no_rows() -> None:
    assert nothing_scored("none").counts.equals(no_counts())
    assert no_counts().num_rows == 0
