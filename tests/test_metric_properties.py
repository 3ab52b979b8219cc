"""What must hold of metrics whatever the texts: identity, symmetry, order, sums, negation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from evaluation.blocks import ALL_BLOCKS
from evaluation.cider import cider, cider_d
from evaluation.clinical import (
    FIVE,
    LabelMatrix,
    confusion,
    exact_matches,
    macro_f1,
    micro_f1,
    samples_f1,
    weighted_f1,
)
from evaluation.families import FAMILIES, Family, bleu_family
from evaluation.labeler import label_report
from evaluation.lexical import ARITHMETIC, BLEU_PROFILES, bleu_counts
from evaluation.measures import Measure, profile_measures
from evaluation.radcliq import radcliq
from evaluation.statistics import Floats, make_bootstrap, score_interval
from sources.record import LabelValue

REPORTS = [
    "The heart is normal in size. The lungs are clear without focal consolidation.",
    "There is a small left pleural effusion with adjacent atelectasis at the base.",
    "Moderate cardiomegaly is present. Mild interstitial pulmonary edema is seen today.",
    "A nodule in the right upper lobe measures about 8 mm. No pneumothorax is seen.",
]
OTHERS = [
    "Heart size is normal. Both lungs are clear.",
    "Small right pleural effusion.",
    "The heart is enlarged with pulmonary edema.",
    "No nodule is seen. There is no pneumothorax.",
]
MEASURES = profile_measures()
MOST = {"0-1": 1.0, "0-10": 10.0, "0-100": 100.0}


def score(measure: Measure, references: list[str], predictions: list[str]) -> float:
    counts = FAMILIES[measure.family].of(references, predictions, None)
    return float(measure.statistic(counts.sum(axis=0)))


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_equal_texts_have_the_largest_score(measure: Measure) -> None:
    most = MOST[measure.about["scale"]]
    same, other = score(measure, REPORTS, REPORTS), score(measure, REPORTS, OTHERS)
    assert same == pytest.approx(most, rel=1e-7)
    assert 0 <= other < same


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_the_order_of_pairs_does_not_matter(measure: Measure) -> None:
    assert score(measure, REPORTS[::-1], OTHERS[::-1]) == pytest.approx(
        score(measure, REPORTS, OTHERS), rel=1e-12
    )


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_empty_predictions_score_nothing(measure: Measure) -> None:
    """R2Gen's cleaning leaves a full stop of an empty text, worth 1e-6."""
    assert score(measure, REPORTS, [""] * 4) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    "measure", [m for m in MEASURES if m.name.startswith("ROUGE") and "coco" not in m.name],
    ids=lambda measure: measure.name,
)  # fmt: skip
def test_f1_is_symmetric(measure: Measure) -> None:
    assert score(measure, REPORTS, OTHERS) == pytest.approx(score(measure, OTHERS, REPORTS))


def test_cocos_rouge_is_not_symmetric() -> None:
    """Beta 1.2 weighs recall."""
    measure = next(item for item in MEASURES if item.name == "ROUGE-L[coco]")
    long, short = ["small left pleural effusion seen"], ["small effusion"]
    assert score(measure, short, long) > score(measure, long, short)


@pytest.mark.parametrize("profile", BLEU_PROFILES)
def test_bleu_of_joined_sets_is_that_of_added_counts(profile: str) -> None:
    arithmetic = ARITHMETIC[BLEU_PROFILES[profile].arithmetic]
    whole = bleu_counts(REPORTS, OTHERS, profile)
    parts = [bleu_counts(REPORTS[s], OTHERS[s], profile) for s in (slice(0, 1), slice(1, 4))]
    added = sum(part.sum(axis=0) for part in parts)
    assert float(arithmetic(whole.sum(axis=0))) == pytest.approx(float(arithmetic(added)))
    assert FAMILIES[bleu_family(profile)].width == whole.shape[1]


@given(st.lists(st.lists(st.floats(-2, 2), min_size=4, max_size=4), min_size=1, max_size=8))
def test_radcliqs_mean_of_scores_is_the_score_of_means(rows: list[list[float]]) -> None:
    parts = np.array(rows)
    assert radcliq(parts, "v0").mean() == pytest.approx(float(radcliq(parts.mean(axis=0), "v0")))
    assert radcliq(parts, "v1").mean() == pytest.approx(float(radcliq(parts.mean(axis=0), "v1")))


CODES = st.lists(st.lists(st.integers(0, 3), min_size=28, max_size=28), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CODES)
def test_f1s_are_scikit_learns(rows: list[list[int]]) -> None:
    true, told = (LabelMatrix(half) for half in np.split(np.array(rows, dtype=np.int8), 2, axis=1))
    for policy in ("negative", "positive"):
        counts = confusion(true, told, policy)
        sides = true.positive(policy), told.positive(policy)
        flat = counts.sum(axis=0)
        found = {
            "micro": micro_f1(flat),
            "macro": macro_f1(flat),
            "weighted": weighted_f1(flat),
            "samples": samples_f1(counts).mean(),
        }
        for average, value in found.items():
            expected = f1_score(*sides, average=average, zero_division=0)
            assert float(value) == pytest.approx(expected), average
        five = (sides[0][:, FIVE] == sides[1][:, FIVE]).all(axis=1)
        assert exact_matches(counts).tolist() == five.astype(float).tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CODES)
def test_micro_and_macro_f1_are_symmetric_and_weighted_is_not(rows: list[list[int]]) -> None:
    true, told = (LabelMatrix(half) for half in np.split(np.array(rows, dtype=np.int8), 2, axis=1))
    one, other = (confusion(*pair, "negative").sum(axis=0) for pair in ((true, told), (told, true)))
    assert float(micro_f1(one)) == pytest.approx(float(micro_f1(other)))
    assert float(macro_f1(one)) == pytest.approx(float(macro_f1(other)))


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        ("pneumothorax", "Pneumothorax"),
        ("pleural effusion", "Pleural Effusion"),
        ("consolidation", "Consolidation"),
        ("pulmonary edema", "Edema"),
        ("rib fracture", "Fracture"),
        ("atelectasis", "Atelectasis"),
    ],
)
def test_a_negation_turns_a_label_round(finding: str, label: str) -> None:
    assert label_report(f"There is {finding}.")[label] is LabelValue.POSITIVE
    assert label_report(f"There is no {finding}.")[label] is LabelValue.NEGATIVE
    assert label_report(f"No evidence of {finding}.")[label] is LabelValue.NEGATIVE
    assert label_report(f"Possible {finding}.")[label] is LabelValue.UNCERTAIN


@pytest.mark.parametrize("family", list(FAMILIES.values()), ids=lambda family: family.name)
def test_equal_seeds_draw_equal_intervals(family: Family) -> None:
    counts = family.of(REPORTS, OTHERS, None)

    def first(sums: Floats) -> Floats:
        return np.asarray(sums[..., 0])

    one, same, other = (
        score_interval(make_bootstrap(["a", "b", "b", "c"], 200, seed), first, counts)
        for seed in (3, 3, 4)
    )
    assert one == same
    assert one.value == other.value


def test_resampling_cider_keeps_the_weights_of_the_whole_set() -> None:
    """A resample of one pair alone would give zero with weights of its own."""
    counts = FAMILIES["cider-d coco-split-lower"].of(REPORTS, OTHERS, None)
    assert counts[1, 0] > 0
    assert cider_d(REPORTS[1:2], OTHERS[1:2]).tolist() == [0.0]


def test_plain_cider_does_not_punish_length_or_clip() -> None:
    doubled = [f"{text} {text}" for text in REPORTS]
    assert (cider(REPORTS, doubled) > cider_d(REPORTS, doubled)).all()
    assert cider(REPORTS, REPORTS).tolist() == pytest.approx([10.0] * 4)


def test_every_profile_is_in_its_block() -> None:
    assert ALL_BLOCKS["profiles"].metrics == (
        *(m.name for m in MEASURES),
        *(f"METEOR[{profile}]" for profile in ("coco-ptb", "r2gen", "coco")),
    )
