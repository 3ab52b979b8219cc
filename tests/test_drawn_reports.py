"""Reports of drawn films against prompts: by scikit-learn, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from evaluation.clinical import LabelMatrix
from evaluation.drawn_reports import report_agreement
from evaluation.labeler import label_reports
from infra.errors import InputError
from tests.scores_world import EDEMA, EFFUSION, NODULE, NORMAL, TEXTS

PROMPTS = [TEXTS[number % 4] for number in range(24)]
REPORTS = [NORMAL if number % 5 == 0 else text for number, text in enumerate(PROMPTS)]
UNITS = [f"p{number // 2}" for number in range(24)]


def test_it_is_scikit_learns_f1() -> None:
    found = report_agreement(PROMPTS, REPORTS, UNITS, "negative", 100, 3)
    asked, told = (
        LabelMatrix.of(label_reports(texts)).positive("negative") for texts in (PROMPTS, REPORTS)
    )
    for average, interval in (("micro", found.micro), ("macro", found.macro)):
        expected = f1_score(asked, told, average=average, zero_division=0)
        assert interval.value == pytest.approx(expected)
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high
    assert found.films == 24
    assert len(found.findings) == 14


def test_the_same_text_is_one_and_another_is_none() -> None:
    same = report_agreement(PROMPTS, PROMPTS, UNITS, "negative", 50, 3)
    assert same.micro.value == 1.0
    other = report_agreement([EFFUSION, EDEMA], [NODULE, NODULE], ["a", "b"], "negative", 50, 3)
    assert other.micro.value == 0.0


def test_doubts_count_as_the_policy_says() -> None:
    doubted, asked = ["Possible pneumothorax."] * 4, ["Left pneumothorax."] * 4
    units = list("abcd")
    assert report_agreement(asked, doubted, units, "positive", 50, 3).micro.value == 1.0
    assert report_agreement(asked, doubted, units, "negative", 50, 3).micro.value == 0.0


def test_the_order_of_films_changes_nothing() -> None:
    turned = np.random.default_rng(0).permutation(24)
    one = report_agreement(PROMPTS, REPORTS, UNITS, "negative", 50, 3)
    other = report_agreement(
        [PROMPTS[at] for at in turned],
        [REPORTS[at] for at in turned],
        [UNITS[at] for at in turned],
        "negative",
        50,
        3,
    )
    assert other.micro == one.micro


@pytest.mark.parametrize(("prompts", "reports"), [([], []), (PROMPTS, REPORTS[:-1])])
def test_films_without_a_report(prompts: list[str], reports: list[str]) -> None:
    with pytest.raises(InputError, match="expected one of each for every film"):
        report_agreement(prompts, reports, UNITS[: len(prompts)], "negative", 50, 3)
