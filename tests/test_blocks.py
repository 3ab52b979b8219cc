"""Comparability blocks: their metrics in order, the papers' intervals, and places left empty."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import bootstrap
from scores_world import SETTINGS, TEXTS, prediction_row, predictions_table
from sklearn.metrics import f1_score

from evaluation.block_scores import BlockRow, BlockTable, scipy_bootstrap
from evaluation.blocks import (
    ALL_BLOCKS,
    BLOCKS,
    LLAVA_RAD,
    PROFILES,
    RRG24_OVERALL,
    RRG24_PARTS,
    rrg24_overall,
)
from evaluation.clinical import LabelMatrix, confusion
from evaluation.encoded import Encoded, EncodedSystem
from evaluation.labeler import label_reports
from evaluation.measures import block_measures, clinical_measures, lexical_measures
from evaluation.measures_neural import slots
from evaluation.meteor import METEOR_PROFILES
from evaluation.scores import Scores, nothing_scored, score_predictions
from evaluation.signature import Signature
from evaluation.statistics import Floats, mean_of


def table_of(scores: Scores, name: str) -> BlockTable:
    return next(table for table in scores.blocks if table.block.name == name)


def row_of(scores: Scores, block: str, metric: str) -> BlockRow:
    return next(row for row in table_of(scores, block).rows if row.metric == metric)


@pytest.fixture(scope="module")
def scores() -> Scores:
    return score_predictions(predictions_table(60), None, SETTINGS)


def test_the_blocks_in_their_papers_order() -> None:
    assert list(BLOCKS) == ["llava_rad", "rrg24", "offline"]
    assert list(ALL_BLOCKS) == [*BLOCKS, "profiles"]
    assert LLAVA_RAD.metrics == (
        "BLEU-1[sacrebleu-13a-cased]",
        "BLEU-4[sacrebleu-13a-cased]",
        "ROUGE-L[rouge-score-nostem]",
        "CheXbert-micro-F1-14[uncertain=negative]",
        "CheXbert-macro-F1-14[uncertain=negative]",
        "CheXbert-micro-F1-5[uncertain=negative]",
        "CheXbert-macro-F1-5[uncertain=negative]",
        "CheXbert-micro-F1-14[uncertain=positive]",
        "CheXbert-macro-F1-14[uncertain=positive]",
        "CheXbert-micro-F1-5[uncertain=positive]",
        "CheXbert-macro-F1-5[uncertain=positive]",
        "RadGraph-F1[v1,partial]",
    )
    assert BLOCKS["rrg24"].metrics == (
        "BLEU-4[coco-split-cased]",
        "ROUGE-L[rouge-score-stem]",
        "BERTScore[distilbert-base-uncased,L5,rescaled]",
        "CheXbert-micro-F1-5[uncertain=positive]",
        "RadGraph-F1[xl,partial]",
        "RRG24-overall",
    )


def test_every_name_in_a_block_is_somebodys(scores: Scores) -> None:
    known = {m.name for m in (*lexical_measures(), *block_measures())}
    known |= {m.name for m in clinical_measures("negative")} | {RRG24_OVERALL}
    known |= {slot.measure.name for slot in slots()}
    for block in BLOCKS.values():
        assert set(block.metrics) <= known


def test_every_slot_can_be_signed() -> None:
    for slot in slots():
        assert set(slot.measure.about) <= set(Signature.__dataclass_fields__)
    names = [slot.measure.name for slot in slots()]
    assert len(names) == len(set(names))


def test_a_row_is_the_score_on_the_blocks_scale(scores: Scores) -> None:
    own = scores.score("ROUGE-L[rouge-score-nostem]").interval
    row = row_of(scores, "llava_rad", "ROUGE-L[rouge-score-nostem]")
    assert row.interval is not None
    assert own.value is not None
    assert row.scale == "0-100"
    assert row.interval.value == pytest.approx(100 * own.value)
    bleu = row_of(scores, "llava_rad", "BLEU-4[sacrebleu-13a-cased]").interval
    assert bleu == scores.score("BLEU-4[sacrebleu-13a-cased]").interval


def test_what_needs_weights_keeps_its_place(scores: Scores) -> None:
    row = row_of(scores, "llava_rad", "CheXbert-micro-F1-14[uncertain=negative]")
    assert row.interval is None
    assert row.unavailable == "needs CheXbert's checkpoint (chexbert.pth) and a BERT tokenizer"
    overall = row_of(scores, "rrg24", RRG24_OVERALL).unavailable
    assert overall == "needs " + " and ".join(RRG24_PARTS[2:])


def test_studies_are_drawn_as_scipy_draws_them(scores: Scores) -> None:
    """LLaVA-Rad calls scipy.stats.bootstrap with percentile, 500 resamples and seed 3."""
    rows = [row for row in predictions_table(60).to_pylist() if row["control"] == "none"]
    true, told = (
        LabelMatrix.of(label_reports([row[name] for row in rows]))
        for name in ("reference", "prediction")
    )
    flat = confusion(true, told, "negative")
    sides = [side.positive("negative") for side in (true, told)]

    def micro(places: Any) -> float:
        return float(f1_score(*(side[places] for side in sides), average="micro", zero_division=0))

    with np.errstate(all="ignore"):
        expected = bootstrap(
            (np.arange(60),), micro, n_resamples=500, method="percentile", random_state=3,
            vectorized=False,
        )  # fmt: skip
    ids = [row["example_id"] for row in rows]
    counts = {"chexbert-negative": flat, "chexbert-positive": confusion(true, told, "positive")}
    encoded = Encoded(
        {"none": EncodedSystem(ids, counts)}, {"CheXbert": {"version": "1", "weights": "0a1b"}}
    )
    table = score_predictions(predictions_table(60), None, SETTINGS, encoded=encoded)
    row = row_of(table, "llava_rad", "CheXbert-micro-F1-14[uncertain=negative]")
    assert row.paper is not None
    assert row.paper.low == pytest.approx(100 * expected.confidence_interval.low)
    assert row.paper.high == pytest.approx(100 * expected.confidence_interval.high)
    assert row.paper.centre == pytest.approx(100 * np.median(expected.bootstrap_distribution))


def test_the_papers_interval_signs_for_itself(scores: Scores) -> None:
    row = row_of(scores, "llava_rad", "ROUGE-L[rouge-score-nostem]")
    assert row.paper is not None
    told = row.paper.signature.fields()
    assert (told["unit"], told["resamples"], told["seed"], told["centre"]) == (
        "study", 500, 3, "median",
    )  # fmt: skip
    own = scores.score("ROUGE-L[rouge-score-nostem]").signature
    assert (own.unit, own.centre) == ("subject", None)
    assert row_of(scores, "rrg24", "ROUGE-L[rouge-score-stem]").paper is None


def test_examples_of_one_study_are_drawn_together() -> None:
    drawn = scipy_bootstrap(["a", "b", "a", "c"], 50, 3)
    assert (drawn.weights[:, 0] == drawn.weights[:, 2]).all()
    assert drawn.subjects == 3
    assert (drawn.weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert np.array_equal(drawn.weights, scipy_bootstrap(["a", "b", "a", "c"], 50, 3).weights)


def value_and_one(values: Sequence[float]) -> Floats:
    return np.stack([np.array(values), np.ones(len(values))], axis=-1)


def whole(count: int = 12) -> tuple[Encoded, pa.Table]:
    """Every encoder's counts for the model alone, made up."""
    predictions = predictions_table(count, ("none", "blank"))
    ids = [f"e{place:04}" for place in range(count)]
    cells = np.zeros((count, 42))
    cells[:, 0] = 1.0
    cells[0, 1] = 1.0
    families = {
        slot.measure.family: value_and_one(np.linspace(0.1, 0.9, count)) for slot in slots()
    }
    families |= {"chexbert-negative": cells, "chexbert-positive": cells}
    half = [4, 4, 0, 0, 2, 2, *[0] * 14, 1, 2, 2]  # two of four words match
    families |= {f"meteor {name}": np.tile(half, (count, 1)) * 1.0 for name in METEOR_PROFILES}
    encoders = {one for slot in slots() for one in slot.encoders}
    about = {one: {"version": "1", "weights": "0a1b"} for one in encoders}
    system = EncodedSystem(list(reversed(ids)), {n: c[::-1] for n, c in families.items()})
    return Encoded({"none": system}, about), predictions


def test_encoders_counts_fill_their_places() -> None:
    encoded, predictions = whole()
    scores = score_predictions(predictions, None, SETTINGS, encoded=encoded)
    for name in BLOCKS:
        assert all(row.interval is not None for row in table_of(scores, name).rows)
    radgraph = scores.score("RadGraph-F1[v1,partial]")
    assert radgraph.interval.value == pytest.approx(0.5)
    assert radgraph.signature.weights == "sha256:0a1b"
    assert not {"CheXbert-F1", "RadGraph-F1", "BERTScore", "RadCliQ"} & set(scores.unavailable)
    with pytest.raises(KeyError):
        scores.score("RadGraph-F1[v1,partial]", "blank")


def test_rrg24s_overall_is_the_mean_of_its_parts() -> None:
    encoded, predictions = whole()
    scores = score_predictions(predictions, None, SETTINGS, encoded=encoded)
    parts = [scores.score(name).interval.value for name in RRG24_PARTS]
    overall = scores.score(RRG24_OVERALL).interval
    assert overall.value == pytest.approx(np.mean([part for part in parts if part is not None]))
    assert overall.low is not None
    assert overall.high is not None
    assert overall.low < overall.value < overall.high
    row = row_of(scores, "rrg24", RRG24_OVERALL).interval
    assert row is not None
    assert row.value == pytest.approx(100 * overall.value)


def test_an_encoders_own_reason_is_told() -> None:
    encoded = Encoded(unavailable={"RadGraph-xl": "no folder radgraph-xl"})
    scores = score_predictions(predictions_table(4), None, SETTINGS, encoded=encoded)
    assert row_of(scores, "rrg24", "RadGraph-F1[xl,partial]").unavailable == "no folder radgraph-xl"
    assert row_of(scores, "llava_rad", "RadGraph-F1[v1,partial]").unavailable == (
        "needs RadGraph's weights"
    )


def test_the_mean_needs_five_parts() -> None:
    assert rrg24_overall(np.array([[1.0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])).tolist() == [0.2, 1.0]
    with pytest.raises(AssertionError):
        rrg24_overall(np.ones(4))


def test_profiles_are_computed_only_where_they_are_asked_for(scores: Scores) -> None:
    assert not [s for s in scores.scores if s.metric.startswith("CIDEr")]
    rows = [prediction_row(i, "none", TEXTS[(i + i % 2) % 4]) for i in range(16)]
    found = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS, blocks=[PROFILES])
    (table,) = found.blocks
    assert [row.metric for row in table.rows if row.interval is None] == [
        *("METEOR[coco-ptb]", "METEOR[r2gen]", "METEOR[coco]")
    ]
    assert {"BLEU-4[coco-ptb]", "BLEU-2[rexrank-bleu2]", "CIDEr-D[coco-split-cased]"} <= {
        row.metric for row in table.rows
    }
    bleu, cider = (
        row_of(found, "profiles", name)
        for name in ("BLEU-4[sacrebleu-13a-cased]", "CIDEr-D[coco-split-cased]")
    )
    assert (bleu.scale, cider.scale) == ("0-100", "0-10")


def test_json_holds_every_block(scores: Scores) -> None:
    blocks = json.loads(json.dumps(scores.to_dict(), allow_nan=False))["blocks"]
    assert [block["name"] for block in blocks] == list(BLOCKS)
    first = blocks[0]["rows"][0]
    assert set(first) == {"metric", "scale", "value", "low", "high", "paper"}
    assert set(first["paper"]) == {"centre", "low", "high", "signature"}
    assert set(blocks[0]["rows"][3]) == {"metric", "unavailable"}


def test_tracked_names_tell_the_block(scores: Scores) -> None:
    tracked = scores.tracked()
    own = tracked["none/ROUGE-L.rouge-score-stem"]
    assert tracked["rrg24/ROUGE-L.rouge-score-stem"] == pytest.approx(100 * own)
    encoded, predictions = whole()
    filled = score_predictions(predictions, None, SETTINGS, encoded=encoded).tracked()
    assert "rrg24/BERTScore.distilbert-base-uncased.L5.rescaled" in filled
    assert all("[" not in name and "," not in name for name in filled)


def test_nothing_scored_has_no_block() -> None:
    assert nothing_scored("no test examples").blocks == ()


def test_a_mean_of_nothing_is_unknown() -> None:
    assert np.isnan(mean_of(np.zeros(2)))
