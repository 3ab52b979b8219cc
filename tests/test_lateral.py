"""Findings that one kind of film alone shows: counted against the truth, none where none hides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scores_world import EFFUSION, NODULE, NORMAL, SETTINGS, prediction_row

from evaluation.clinical import LabelMatrix
from evaluation.counts_table import read_counts
from evaluation.labeler import label_reports
from evaluation.lateral import (
    FAMILY_OF,
    Kind,
    TrueStates,
    film_counts,
    film_measures,
    hidden_any,
)
from evaluation.paired import known_metrics, paired_difference, read_system
from evaluation.scores import score_predictions
from sources.replicas.rrg24 import write
from sources.replicas.truth import ReplicaSpec
from tasks.score.truths import read_states

FAMILY = FAMILY_OF["lateral"]
FLUID, NODE = "Pleural Effusion", "Lung Lesion"


def states(hidden: str = "", shown: str = "") -> TrueStates:
    return TrueStates(frozenset(filter(None, [hidden])), frozenset(filter(None, [shown])))


def counted(
    truths: Sequence[TrueStates | None], texts: list[str], kind: Kind = "lateral"
) -> list[list[float]]:
    found = film_counts(truths, LabelMatrix.of(label_reports(texts)), kind)
    return [list(map(float, row)) for row in found]


def test_told_missed_and_made_up() -> None:
    truths = [states(FLUID), states(FLUID), states(), states()]
    texts = [EFFUSION, NORMAL, EFFUSION, NORMAL]
    assert counted(truths, texts) == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_what_a_frontal_film_shows_is_left_out() -> None:
    truths = [states(shown=FLUID), states(FLUID)]
    assert counted(truths, [EFFUSION, EFFUSION]) == [[0, 0, 0], [1, 0, 0]]


def test_what_a_frontal_film_shows_alone_is_counted_for_itself() -> None:
    alone = TrueStates(frozenset(), frozenset([FLUID]), frozenset([FLUID]))
    truths = [alone, alone, states(shown=FLUID), states(FLUID), states()]
    texts = [EFFUSION, NORMAL, EFFUSION, EFFUSION, EFFUSION]
    assert counted(truths, texts, "frontal") == [
        *([1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0])
    ]


def test_only_observations_that_hide_somewhere_are_looked_at() -> None:
    assert counted([states(FLUID), states()], [NODULE, NODULE]) == [[0, 0, 1], [0, 0, 0]]
    both = counted([states(FLUID), states(NODE)], [NODULE, NODULE])
    assert both == [[0, 1, 1], [1, 0, 0]]


def test_studies_that_no_replica_drew_count_for_nothing() -> None:
    assert counted([None, states(FLUID)], [EFFUSION, EFFUSION]) == [[0, 0, 0], [1, 0, 0]]


def test_f1_and_recall_by_hand() -> None:
    sums = np.array([3.0, 1.0, 2.0])
    f1, recall = (float(each.statistic(sums)) for each in film_measures("lateral"))
    assert f1 == pytest.approx(6 / 9)
    assert recall == pytest.approx(3 / 5)
    assert float(film_measures("lateral")[1].statistic(np.zeros(3))) == 0.0


def table(texts: list[str]) -> pa.Table:
    rows = [prediction_row(place, "none", text) for place, text in enumerate(texts)]
    return pa.Table.from_pylist(rows)


TRUTHS = {("mimic_cxr", f"s{place:04}"): states(FLUID if place % 2 else "") for place in range(40)}


def test_scores_tell_it_where_a_study_hides_something() -> None:
    good = score_predictions(table([EFFUSION if p % 2 else NORMAL for p in range(40)]), None,
                             SETTINGS, truths=TRUTHS)  # fmt: skip
    assert good.score("lateral-only-F1").interval.value == 1.0
    assert good.score("lateral-only-recall").is_detail
    counts = read_counts(good.counts, "none", [FAMILY])[FAMILY]
    assert counts.sum(axis=0).tolist() == [20, 0, 0]


@pytest.mark.parametrize("truths", [None, {}, {("mimic_cxr", "s0001"): states(shown=FLUID)},
                                    {("other", "s0001"): states(FLUID)}])  # fmt: skip
def test_scores_are_silent_where_nothing_hides(truths: object) -> None:
    found = score_predictions(table([NORMAL] * 4), None, SETTINGS, truths=truths)  # type: ignore[arg-type]
    assert not any(score.metric.startswith("lateral") for score in found.scores)
    assert FAMILY not in found.counts.column_names
    assert not hidden_any(truths or {}, [("mimic_cxr", "s0001")])  # type: ignore[arg-type]


def test_two_models_are_compared_in_it() -> None:
    told = [EFFUSION if place % 2 else NORMAL for place in range(40)]
    both = []
    for texts in ([NORMAL] * 40, told):
        scored = score_predictions(table(texts), None, SETTINGS, truths=TRUTHS)
        both.append(read_system(table(texts), scored.counts, None, SETTINGS))
    found = paired_difference(both[0], both[1], "lateral-only-F1", 200, 0)
    assert found is not None
    assert (found.own, found.other, found.excludes_zero) == (0.0, 1.0, True)
    assert found.p is not None and found.p < 0.05
    assert "lateral-only-F1" in known_metrics(SETTINGS)


def test_the_truth_of_a_replica_is_read(tmp_path: Path) -> None:
    write(tmp_path, ReplicaSpec(60, seed=7, side_px=64, wording="template"))
    found = read_states(tmp_path / ".truth.jsonl")
    hidden = [each for each in found.values() if each.hidden]
    assert len(found) == 60
    assert 5 < len(hidden) < 40
    assert {name for each in hidden for name in each.hidden} == {FLUID, NODE}
    assert any(FLUID in each.shown for each in found.values())
    assert not any(each.hidden & each.shown for each in found.values())
    assert all(each.frontal <= each.shown for each in found.values())
    lines = [json.loads(line) for line in (tmp_path / ".truth.jsonl").read_text().splitlines()]
    flat = [found[row["study_id"]] for row in lines if "LATERAL" not in row["views"]]
    assert all(each.frontal == each.shown for each in flat)
    both = [found[row["study_id"]] for row in lines if "LATERAL" in row["views"]]
    alone, shown = (sum(len(getattr(each, name)) for each in both) for name in ("frontal", "shown"))
    assert 0.3 < alone / shown < 0.8
