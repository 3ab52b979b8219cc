"""Every check on what comes back: what it catches, with its reason, and what it lets pass."""

from __future__ import annotations

from typing import Any

import pytest

from sources.record import Image, Label, LabelValue, SourceLabel, Study, View
from tasks.reports.facts import facts_of
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.fidelity_translated import check_translated

POSITIVE, NEGATIVE, UNCERTAIN = LabelValue.POSITIVE, LabelValue.NEGATIVE, LabelValue.UNCERTAIN

REPORT = """FINDINGS: The heart is normal in size. There is a small left pleural effusion of 12 mm,
unchanged since the prior study. No pneumothorax. There is a nodule in the right upper lobe.
IMPRESSION: 1. Small left effusion. 2. Right upper lobe nodule. Dr. Q was notified at 9."""
OWN = {
    "findings": "The heart is normal in size. There is a small left pleural effusion of 12 mm, "
    "unchanged since the prior study. No pneumothorax. There is a nodule in the right upper lobe.",
    "impression": "1. Small left effusion. 2. Right upper lobe nodule. Dr. Q was notified at 9.",
}
FAITHFUL = {
    "findings": "The heart is normal in size. There is a small left pleural effusion of 12 mm. "
    "No pneumothorax. There is a nodule in the right upper lobe.",
    "impression": "Small left effusion. Right upper lobe nodule.",
}


def study(**fields: Any) -> Study:
    images = (Image("i", View.PA, "i.png", 100, 100),)
    return Study("nih_cxr14", "s", None, None, **{"images": images, **fields})


def test_a_faithful_structured_report_passes() -> None:
    assert check_structured(REPORT, OWN, FAITHFUL) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("small left pleural", "small right pleural", "side-changed"),
        ("right upper lobe.", "left upper lobe.", "side-changed"),
        ("12 mm", "15 mm", "number-changed"),
        ("No pneumothorax.", "There is a pneumothorax.", "text-added"),
        ("No pneumothorax.", "No pneumothorax. Large right pneumothorax.", "text-added"),
        ("There is a nodule", "There is no nodule", "negation-changed"),
        ("12 mm.", "12 mm, unchanged.", "comparison-kept"),
        ("There is a nodule in the right upper lobe.", "", "finding-lost"),
        ("There is a small left pleural effusion of 12 mm. ", "", "finding-lost"),
        ("The heart is", "Extensive degenerative spondylosis, scoliosis and kyphosis. Heart is",
         "text-added"),
        ("No pneumothorax.", "No pneumothorax. Rib fracture.", "text-added"),
    ],
)  # fmt: skip
def test_an_unfaithful_structured_report_is_caught(old: str, new: str, reason: str) -> None:
    findings = FAITHFUL["findings"].replace(old, new)
    assert findings != FAITHFUL["findings"]
    problem = check_structured(REPORT, OWN, {**FAITHFUL, "findings": findings})
    assert problem is not None and problem.reason == reason


def test_an_empty_structured_report_is_caught() -> None:
    problem = check_structured(REPORT, OWN, {"indication": "Cough."})
    assert problem is not None
    assert (problem.reason, problem.detail) == (
        "empty",
        "found neither findings nor impression",
    )


def test_a_resolved_finding_may_become_a_denial() -> None:
    report = "The right effusion has resolved. The lungs are clear."
    answer = {"findings": "No right effusion. The lungs are clear."}
    assert check_structured(report, {"findings": report}, answer) is None


def test_notes_may_be_left_out() -> None:
    report = "Clear lungs. Findings were discussed with Dr. Q by telephone at 9 am."
    assert check_structured(report, {"findings": report}, {"findings": "Clear lungs."}) is None


SPANISH = {"findings": "derram pleural izquierd de 3 cm . sin neumotorax . nodul en bas derech ."}
ENGLISH = "Left pleural effusion of 3 cm. No pneumothorax. Nodule in the right base."


def test_a_faithful_translation_passes() -> None:
    assert check_translated(SPANISH, {"findings": ENGLISH}, "es") is None


@pytest.mark.parametrize(
    ("old", "new", "reason", "detail"),
    [
        ("Left", "Right", "side-changed",
         "findings: found left 0 times, right 2 times; expected left 1 times, right 1 times"),
        ("Left pleural", "Pleural", "side-changed",
         "findings: found left 0 times, right 1 times; expected left 1 times, right 1 times"),
        ("No pneumothorax", "Pneumothorax", "negation-changed",
         "findings: found no denial in sentence 2"),
        ("Nodule", "No nodule", "negation-changed", "findings: found a denial in sentence 3"),
        ("3 cm", "4 cm", "number-changed", "findings: found other numbers than the source has"),
        (" of 3 cm", "", "number-changed", "findings: found other numbers than the source has"),
        (" No pneumothorax.", "", "section-changed", "findings: found 2 sentences; expected 3"),
        (" of 3 cm", " of 3 cm, unchanged from before", "text-added",
         "findings: found a comparison in sentence 1"),
    ],
)  # fmt: skip
def test_an_unfaithful_translation_is_caught(old: str, new: str, reason: str, detail: str) -> None:
    problem = check_translated(SPANISH, {"findings": ENGLISH.replace(old, new)}, "es")
    assert problem is not None
    assert (problem.reason, problem.detail) == (reason, detail)


def test_spanish_is_no_translation() -> None:
    problem = check_translated(
        {"findings": "derrame en la base del pulmon"},
        {"findings": "derrame en la base del pulmon"},
        "es",
    )
    assert problem is not None and problem.reason == "language"


def test_a_lecture_is_no_translation() -> None:
    answer = {"findings": "The heart " + "is large and wide " * 5}
    problem = check_translated({"findings": "cardiomegali ."}, answer, "es")
    assert problem is not None and problem.reason == "length"


def test_sections_must_be_the_same() -> None:
    problem = check_translated(SPANISH, {"impression": ENGLISH}, "es")
    assert problem is not None
    assert problem.detail == "found impression; expected findings"


def test_normal_words_may_stand_for_a_denial() -> None:
    assert (
        check_translated({"findings": "sin hallazg ."}, {"findings": "Unremarkable."}, "es") is None
    )


LABELLED = study(
    labels=(
        Label("Pleural Effusion", POSITIVE),
        Label("Pneumonia", UNCERTAIN),
        Label("Pneumothorax", NEGATIVE),
    ),
    source_labels=(
        SourceLabel("Effusion", POSITIVE, "left"),
        SourceLabel("Hernia", POSITIVE),
    ),
)
WRITTEN = "Left pleural effusion. Possible pneumonia. Hiatal hernia. No pneumothorax."


def test_faithful_synthesis_passes() -> None:
    sections = {"findings": WRITTEN, "impression": "Left effusion. Possible pneumonia. Hernia."}
    assert check_synthesized(LABELLED, facts_of(LABELLED), sections) is None


@pytest.mark.parametrize(
    ("old", "new", "reason", "detail"),
    [
        ("Possible pneumonia. ", "", "label-lost",
         "found Pneumonia unmentioned; expected uncertain"),
        ("Possible pneumonia", "Pneumonia", "label-certainty",
         "found Pneumonia positive; expected uncertain"),
        ("No pneumothorax", "Pneumothorax", "label-added",
         "found Pneumothorax positive; expected negative"),
        ("Hiatal", "Edema. Hiatal", "label-added", "found Edema positive; expected unmentioned"),
        ("Left pleural effusion", "No effusion", "label-lost",
         "found Pleural Effusion negative; expected positive"),
        ("Hiatal hernia. ", "", "name-lost", "found no word of the label 'Hernia'"),
        ("Left", "Right", "side-changed", "found right; expected no such side"),
        ("Left pleural", "Unchanged left pleural", "comparison-kept",
         "found 1 words of comparison"),
        ("Left", "very " * 400, "length", "found 408 words; expected 400"),
    ],
)  # fmt: skip
def test_unfaithful_synthesis_is_caught(old: str, new: str, reason: str, detail: str) -> None:
    text = WRITTEN.replace(old, new)
    problem = check_synthesized(LABELLED, facts_of(LABELLED), {"findings": text})
    assert problem is not None
    assert (problem.reason, problem.detail) == (reason, detail)


def test_an_impression_may_be_short_but_not_wrong() -> None:
    facts = facts_of(LABELLED)
    short = {"findings": WRITTEN, "impression": "Left effusion."}
    assert check_synthesized(LABELLED, facts, short) is None
    wrong = {"findings": WRITTEN, "impression": "Left effusion. Edema."}
    problem = check_synthesized(LABELLED, facts, wrong)
    assert problem is not None and problem.reason == "label-added"


def test_sides_go_with_their_finding() -> None:
    given = study(
        labels=(Label("Pleural Effusion", POSITIVE), Label("Lung Lesion", POSITIVE)),
        source_labels=(
            SourceLabel("pleural effusion", POSITIVE, "left"),
            SourceLabel("nodule", POSITIVE, "right"),
        ),
    )
    facts = facts_of(given)
    right = {"findings": "Left pleural effusion. Right nodule."}
    assert check_synthesized(given, facts, right) is None
    swapped = {"findings": "Right pleural effusion. Left nodule."}
    problem = check_synthesized(given, facts, swapped)
    assert problem is not None
    assert (problem.reason, problem.detail) == (
        "side-changed",
        "found right for pleural effusion; expected left",
    )


def test_a_special_finding_may_imply_the_general_one() -> None:
    given = study(labels=(Label("Consolidation", POSITIVE),))
    sections = {"findings": "There is a consolidative opacity."}
    assert check_synthesized(given, facts_of(given), sections) is None


def test_a_normal_film_must_read_as_normal() -> None:
    given = study(labels=(Label("No Finding", POSITIVE),))
    facts = facts_of(given)
    assert check_synthesized(given, facts, {"findings": "The lungs are clear."}) is None
    problem = check_synthesized(given, facts, {"findings": "The film was taken."})
    assert problem is not None
    assert problem.detail == "found No Finding unmentioned; expected positive"


def test_details_hold_no_word_of_the_text() -> None:
    marked = FAITHFUL["findings"].replace("There is a nodule", "There is no zebra nodule")
    problem = check_structured(REPORT, OWN, {"findings": marked})
    assert problem is not None
    assert "zebra" not in problem.detail
