"""The offline judge on hand-written pairs: every kind in both tiers, symmetry, and paraphrases."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from second_set_english import SAID, Said

from tasks.reports.offline_judge import KINDS, judge

FP, OM, LOC, SEV, CFP, COM = KINDS
MIRROR = {FP: OM, OM: FP, LOC: LOC, SEV: SEV, CFP: COM, COM: CFP}
Errors = dict[tuple[str, str], int]


def errors(reference: str, prediction: str) -> Errors:
    found = judge({"reference": reference, "prediction": prediction})
    assert {tier: set(counts) for tier, counts in found.items()} == {
        "significant": set(KINDS),
        "insignificant": set(KINDS),
    }
    return {
        (tier, kind): count
        for tier, counts in found.items()
        for kind, count in counts.items()
        if count
    }


def mirrored(found: Errors) -> Errors:
    return {(tier, MIRROR[kind]): count for (tier, kind), count in found.items()}


SIG, INS = "significant", "insignificant"
PLANTED: tuple[tuple[str, str, Errors], ...] = (
    ("No pneumothorax.", "Left pneumothorax.", {(SIG, FP): 1}),
    ("Clear lungs.", "Scoliosis.", {(INS, FP): 1}),
    ("Right pneumothorax. Cardiomegaly.", "Cardiomegaly.", {(SIG, OM): 1}),
    ("Scoliosis. Edema.", "Edema.", {(INS, OM): 1}),
    ("Trace left effusion. Edema.", "Edema.", {(INS, OM): 1}),
    ("Possible pneumonia. Edema.", "Edema.", {(INS, OM): 1}),
    ("Small left pleural effusion.", "Small right pleural effusion.", {(SIG, LOC): 1}),
    ("Right upper lobe nodule.", "Right lower lobe nodule.", {(INS, LOC): 1}),
    ("Bilateral effusions.", "Left effusion.", {(INS, LOC): 1}),
    ("Mild pulmonary edema.", "Severe pulmonary edema.", {(SIG, SEV): 1}),
    ("Small left effusion.", "Moderate left effusion.", {(INS, SEV): 1}),
    ("Edema.", "Worsening edema.", {(SIG, CFP): 1}),
    ("Edema.", "Stable edema.", {(INS, CFP): 1}),
    ("Edema has increased since the prior study.", "Edema.", {(SIG, COM): 1}),
    ("Unchanged edema.", "Edema.", {(INS, COM): 1}),
    ("Effusion has increased.", "Effusion has decreased.", {(SIG, CFP): 1, (SIG, COM): 1}),
    ("Right pneumothorax, left rib fracture.", "Left pneumothorax, right rib fracture.",
     {(SIG, LOC): 2}),
    ("Left pneumothorax. Edema. Cardiomegaly.", "Clear lungs.", {(SIG, OM): 3}),
    ("Consolidation.", "Opacity.", {(INS, SEV): 1}),
)  # fmt: skip


@pytest.mark.parametrize(("reference", "prediction", "found"), PLANTED)
def test_planted_errors_and_their_mirror(reference: str, prediction: str, found: Errors) -> None:
    assert errors(reference, prediction) == found
    assert errors(prediction, reference) == mirrored(found)


def test_every_kind_is_planted_in_both_tiers() -> None:
    planted = {key for _, _, found in PLANTED for key in found}
    mirror = {(tier, MIRROR[kind]) for tier, kind in planted}
    assert planted | mirror == {(tier, kind) for tier in (SIG, INS) for kind in KINDS}


PARAPHRASES = (
    ("The heart is enlarged.", "Cardiomegaly."),
    ("No pleural effusion or pneumothorax.", "Lungs are clear. No effusion. No pneumothorax."),
    ("There is a small left pleural effusion.", "Small left-sided effusion is noted."),
    ("Bibasilar atelectasis.", "Atelectasis at both lung bases."),
    ("Right lower lobe consolidation.", "Consolidation in the lower lobe of the right lung."),
    ("Endotracheal tube tip above the carina.", "An endotracheal tube is in place."),
    ("The lungs are clear.", "No focal consolidation, effusion or pneumothorax."),
    ("Left pectoral pacemaker.", "A pacemaker is seen over the left chest."),
    ("Mild pulmonary edema.", "There is mild interstitial edema."),
    ("Heart size is normal.", "The cardiac silhouette is not enlarged."),
    ("Elevated right hemidiaphragm.", "There is elevation of the right hemidiaphragm."),
    ("Moderate right and small left pleural effusions.",
     "There is a moderate right pleural effusion and a small left pleural effusion."),
    ("Pneumothorax is not seen.", "No pneumothorax."),
    ("Consolidation is absent.", "No consolidation."),
    ("Effusions are not identified.", "There is no effusion."),
    ("No pneumothorax. No change from prior.",
     "No pneumothorax, unchanged from the previous study."),
    ("Cardiac size is mildly enlarged, unchanged.", "Stable mild cardiomegaly."),
    ("Left basilar opacity may represent atelectasis or pneumonia.",
     "Opacity at the left base, possibly atelectasis or pneumonia."),
    ("Increased interstitial markings.", "Interstitial markings are increased."),
    ("Neither effusion nor pneumothorax is present.", "No effusion or pneumothorax."),
    ("A 2 cm nodule in the left upper lobe.", "Left upper lobe nodule measuring 2 cm."),
    ("No effusion but there is edema.", "Edema. No effusion."),
    ("Widened mediastinum.", "The mediastinum is wide."),
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PARAPHRASES)
def test_a_paraphrase_is_no_error(one: str, other: str) -> None:
    assert errors(one, other) == {} == errors(other, one)


SENTENCES = tuple(item.dictated for item in SAID) + tuple(item.kept for item in SAID if item.kept)
REPORTS = st.lists(st.sampled_from(SENTENCES), max_size=6).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(REPORTS)
def test_a_report_beside_itself_has_no_error(text: str) -> None:
    assert errors(text, text) == {}


@settings(max_examples=150, deadline=None)
@given(REPORTS, REPORTS)
def test_the_two_sides_mirror_each_other_in_number(one: str, other: str) -> None:
    there, back = Counter(errors(one, other)), Counter(mirrored(errors(other, one)))
    for kind in (FP, OM, CFP, COM, LOC, SEV):
        assert sum(there[tier, kind] for tier in (SIG, INS)) == sum(
            back[tier, kind] for tier in (SIG, INS)
        )


SIDED = tuple(item for item in SAID if "side" in item.wrong and not item.wrong.get("comparison"))


@pytest.mark.parametrize("item", SIDED, ids=lambda item: item.kept[:40])
def test_a_flipped_side_is_a_wrong_place(item: Said) -> None:
    found = errors(item.kept, item.wrong["side"])
    if "hemidiaphragm" not in item.kept:
        assert sum(count for (_, kind), count in found.items() if kind == LOC) >= 1
    assert not {kind for _, kind in found} & {FP, OM, CFP, COM}


@pytest.mark.parametrize("text", ["", " ", ".", "___", "Normal.", "1. 2. 3."])
def test_empty_texts_have_no_finding(text: str) -> None:
    assert errors(text, "") == errors("", text) == {}
    assert errors(text, "Left pneumothorax.") == {(SIG, FP): 1}
