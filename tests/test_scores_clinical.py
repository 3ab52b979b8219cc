"""Label matrices and F1: policies for uncertainty, averages, support."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from evaluation.clinical import (
    FIVE,
    TOP_FIVE,
    LabelMatrix,
    as_counts,
    confusion,
    label_scores,
    macro_f1,
    micro_f1,
    report_f1,
)
from sources.record import OBSERVATIONS, LabelValue

P, N, U, X = (
    LabelValue.POSITIVE,
    LabelValue.NEGATIVE,
    LabelValue.UNCERTAIN,
    LabelValue.UNMENTIONED,
)


def matrix(*reports: dict[str, LabelValue]) -> LabelMatrix:
    return LabelMatrix.of(reports)


def random_matrix(seed: int, rows: int = 300) -> LabelMatrix:
    random = np.random.default_rng(seed)
    return LabelMatrix(random.choice(4, size=(rows, 14), p=[0.6, 0.2, 0.1, 0.1]).astype(np.int8))


def test_codes_are_chexberts() -> None:
    codes = matrix({"Edema": P, "Fracture": N, "Pneumonia": U, "Atelectasis": X}).codes[0]
    found = {name: int(code) for name, code in zip(OBSERVATIONS, codes, strict=True) if code}
    assert found == {"Edema": 1, "Fracture": 2, "Pneumonia": 3}


def test_labels_come_back_without_the_unmentioned() -> None:
    rows = matrix({"Edema": P, "Pneumonia": U}, {}).to_labels()
    assert rows == [
        [
            {"observation": "Edema", "value": "positive"},
            {"observation": "Pneumonia", "value": "uncertain"},
        ],
        [],
    ]


def test_the_policy_decides_what_uncertain_is() -> None:
    labels = matrix({"Edema": U, "Fracture": P, "Pneumonia": N})
    assert labels.positive("negative").sum() == 1
    assert labels.positive("positive").sum() == 2


def test_policies_give_different_scores() -> None:
    true, told = matrix({"Edema": U}, {"Edema": P}), matrix({"Edema": P}, {"Edema": P})
    negative = confusion(true, told, "negative").sum(axis=0)
    positive = confusion(true, told, "positive").sum(axis=0)
    assert float(micro_f1(negative)) == pytest.approx(2 / 3)
    assert float(micro_f1(positive)) == 1.0


def test_counts_of_one_report_by_hand() -> None:
    true, told = matrix({"Edema": P, "Fracture": P}), matrix({"Edema": P, "Pneumonia": P})
    counts = as_counts(confusion(true, told, "negative"))[0]
    assert counts[OBSERVATIONS.index("Edema")].tolist() == [1, 0, 0]
    assert counts[OBSERVATIONS.index("Pneumonia")].tolist() == [0, 1, 0]
    assert counts[OBSERVATIONS.index("Fracture")].tolist() == [0, 0, 1]
    assert counts.sum() == 3


@pytest.mark.parametrize("policy", ["negative", "positive"])
def test_averages_are_scikit_learns(policy: str) -> None:
    true, told = random_matrix(1), random_matrix(2)
    flat = confusion(true, told, policy).sum(axis=0)  # type: ignore[arg-type]
    one, two = true.positive(policy), told.positive(policy)  # type: ignore[arg-type]
    for labels in (np.arange(14), FIVE):
        for average, score in (("micro", micro_f1), ("macro", macro_f1)):
            expected = f1_score(one[:, labels], two[:, labels], average=average, zero_division=0)
            assert float(score(flat, labels)) == pytest.approx(expected, abs=1e-12)


def test_per_label_scores_are_scikit_learns() -> None:
    true, told = random_matrix(3), random_matrix(4)
    rows = label_scores(confusion(true, told, "negative"))
    expected = precision_recall_fscore_support(
        true.positive("negative"), told.positive("negative"), zero_division=0
    )
    assert [row.observation for row in rows] == list(OBSERVATIONS)
    for place, row in enumerate(rows):
        values = (row.precision, row.recall, row.f1, row.support)
        assert values == pytest.approx(tuple(float(column[place]) for column in expected))


def test_told_counts_the_predictions_positives() -> None:
    true, told = matrix({"Edema": P}, {}), matrix({"Edema": P}, {"Edema": P})
    edema = label_scores(confusion(true, told, "negative"))[OBSERVATIONS.index("Edema")]
    assert (edema.support, edema.told, edema.precision, edema.recall) == (1, 2, 0.5, 1.0)


def test_a_label_that_nobody_asserts_scores_zero_and_shows_no_support() -> None:
    rows = label_scores(confusion(matrix({}), matrix({}), "negative"))
    assert {(row.f1, row.support, row.told) for row in rows} == {(0.0, 0, 0)}


def test_f1_is_symmetric_and_precision_is_not() -> None:
    one, two = random_matrix(5), random_matrix(6)
    there, back = confusion(one, two, "negative"), confusion(two, one, "negative")
    assert float(micro_f1(there.sum(axis=0))) == float(micro_f1(back.sum(axis=0)))
    assert float(macro_f1(there.sum(axis=0))) == float(macro_f1(back.sum(axis=0)))
    first, second = label_scores(there)[0], label_scores(back)[0]
    assert (first.precision, first.recall) == (second.recall, second.precision)


def test_identity_is_perfect_where_every_label_occurs() -> None:
    labels = random_matrix(7)
    flat = confusion(labels, labels, "negative").sum(axis=0)
    assert float(micro_f1(flat)) == 1.0
    assert float(macro_f1(flat)) == 1.0


def test_order_of_reports_does_not_matter() -> None:
    one, two = random_matrix(8), random_matrix(9)
    order = np.random.default_rng(0).permutation(300)
    mixed = confusion(LabelMatrix(one.codes[order]), LabelMatrix(two.codes[order]), "negative")
    assert np.array_equal(mixed.sum(axis=0), confusion(one, two, "negative").sum(axis=0))


def test_f1_of_each_report_alone() -> None:
    true = matrix({"Edema": P}, {"Edema": P}, {}, {"Edema": N})
    told = matrix({"Edema": P, "Fracture": P}, {}, {}, {"Edema": N})
    assert report_f1(confusion(true, told, "negative")).tolist() == pytest.approx(
        [2 / 3, 0.0, 1.0, 1.0]
    )


def test_the_five_are_the_competitions() -> None:
    assert [OBSERVATIONS[place] for place in FIVE] == list(TOP_FIVE)
    assert len(TOP_FIVE) == 5
