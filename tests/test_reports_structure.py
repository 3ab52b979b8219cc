"""The offline rules for structuring: sections, and statements of change turned into states."""

from __future__ import annotations

import pytest

from tasks.reports.comparison import comparison_words
from tasks.reports.offline_present import without_comparison
from tasks.reports.offline_structure import structure

REPORT = """
                                 FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)

 INDICATION:  ___ year old man with cough and fever.

 COMPARISON:  Chest radiograph from yesterday.

 FINDINGS:

 The heart is mildly enlarged, unchanged. There is a small left
 pleural effusion, increased since the prior study. No new consolidation.

 IMPRESSION:

 1. Small left effusion.  2. No significant interval change. Findings were
 discussed with Dr. ___ by telephone.
"""


def test_a_whole_report() -> None:
    assert structure({"report": REPORT}) == {
        "indication": "Cough and fever.",
        "technique": "CHEST (PORTABLE AP)",
        "findings": "The heart is mildly enlarged. There is a small left pleural effusion. "
        "No consolidation.",
        "impression": "Small left effusion.",
    }


@pytest.mark.parametrize(
    ("report", "sections"),
    [
        ("Clear lungs. No effusion.", {"findings": "Clear lungs. No effusion."}),
        ("FINDINGS: Clear.", {"findings": "Clear."}),
        ("findings: Clear. IMPRESSION: Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("CONCLUSION: Normal.", {"impression": "Normal."}),
        ("FINDINS: Clear.\nIMPRESSON: Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("HISTORY: Cough.\n\nClear lungs.", {"indication": "Cough.", "findings": "Clear lungs."}),
        ("Indication: Cough. Clear lungs. No effusion.",
         {"indication": "Cough.", "findings": "Clear lungs. No effusion."}),
        ("Indication: Cough.", {"indication": "Cough."}),
        ("COMPARISON: None.\nFINDINGS: Clear.", {"findings": "Clear."}),
        ("FINDINGS: One.\nFINDINGS: Two.", {"findings": "One. Two."}),
        ("FINDINGS:\nIMPRESSION: Normal.", {"impression": "Normal."}),
        ("INDICATION: 61 year old woman with chest pain.", {"indication": "Chest pain."}),
        ("INDICATION: 44M, fever.", {"indication": "44M, fever."}),
        ("FINDINGS: Clear clear lungs.", {"findings": "Clear lungs."}),
        ("FINDINGS: 1. 1.7 cm nodule.", {"findings": "1.7 cm nodule."}),
        ("", {}),
    ],
)  # fmt: skip
def test_sections(report: str, sections: dict[str, str]) -> None:
    answer = structure({"report": report})
    assert {name: text for name, text in answer.items() if text} == sections


@pytest.mark.parametrize(
    ("sentence", "present"),
    [
        ("Unchanged small effusion.", "Small effusion."),
        ("The effusion has resolved.", "No effusion."),
        ("The nodule is no longer seen.", "No nodule."),
        ("Interval resolution of the effusion.", "No effusion."),
        ("Interval placement of a right chest tube.", "There is a right chest tube."),
        ("Interval increase in size of the left effusion.", "Left effusion."),
        ("No interval change.", None),
        ("No significant change from the prior study.", None),
        ("Compared to the prior study, there is a new right effusion.",
         "There is a right effusion."),
        ("Cardiomegaly, unchanged since the previous examination.", "Cardiomegaly."),
        ("The heart is again mildly enlarged.", "The heart is mildly enlarged."),
        ("Heart size is enlarged but stable.", "Heart size is enlarged."),
        ("The cardiac silhouette is stable.", None),
        ("Lung volumes remain low.", "Lung volumes are low."),
        ("An infiltrate has developed in the left lower lobe.",
         "An infiltrate is present in the left lower lobe."),
        ("Infiltrates have developed in both lungs.", "Infiltrates are present in both lungs."),
        ("A granuloma that is unchanged from prior examinations.", "A granuloma."),
        ("No change in the right apical scar.", "There is right apical scar."),
        ("Mild cardiomegaly, similar to prior exams.", "Mild cardiomegaly."),
        ("Right PICC in unchanged position.", "Right PICC."),
        ("No new consolidation.", "No consolidation."),
        ("Interval removal of the endotracheal tube.", None),
        ("Old rib fractures again noted.", "Old rib fractures noted."),
        ("COPD as before.", "COPD."),
        ("Worsening edema.", "Edema."),
        ("Follow-up is advised to assess stability.", None),
    ],
)  # fmt: skip
def test_change_becomes_state(sentence: str, present: str | None) -> None:
    assert without_comparison(sentence) == present


@pytest.mark.parametrize(
    "sentence",
    [
        "Increased interstitial markings.",
        "Degenerative changes of the spine.",
        "Prior sternotomy with intact wires.",
        "Decreased lung volumes.",
        "There is increased AP diameter.",
        "Old granulomatous disease.",
        "No focal consolidation, effusion or pneumothorax.",
        "Post-surgical changes of the left breast.",
        "Healed right rib fractures.",
    ],
)
def test_states_of_one_image_stay_as_they_are(sentence: str) -> None:
    assert comparison_words(sentence) == []
    assert without_comparison(sentence) == sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unchanged from the prior study", ["unchanged", "prior study"]),
        ("new since yesterday", ["new", "since yesterday"]),
        ("as compared to the previous film", ["compared", "previous film"]),
        ("the effusion has increased", ["has increased"]),
        ("increased effusion", ["increased"]),
        ("interval removal", ["interval"]),
        ("Stable.", ["Stable"]),
        ("It remains enlarged", ["remains"]),
        ("no significant change", ["no significant change"]),
    ],
)
def test_words_of_comparison(text: str, words: list[str]) -> None:
    assert comparison_words(text) == words


def test_structured_text_keeps_no_comparison_even_where_rules_have_none() -> None:
    odd = "The lobulated thing has sort of resolved-ish versus formerly, cf. previous CT."
    present = without_comparison(odd)
    assert present is None or comparison_words(present) == []


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        ("There is stable right upper lung lucency.", "There is right upper lung lucency."),
        ("There are unchanged small effusions.", "There are small effusions."),
        ("The cardiopulmonary silhouettes are stable. Clear lungs", "Clear lungs."),
        ("XXXX, XXXX. Clear lungs.", "Clear lungs."),
        ("Clear lungs. Result notification made.", "Clear lungs."),
    ],
)
def test_what_real_reports_taught(report: str, findings: str) -> None:
    assert structure({"report": f"FINDINGS: {report}"})["findings"] == findings


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("F/U after surgery", "F/U after surgery."),
        ("40 year old F with cough", "Cough."),
        ("XXXX-year-old with neck pain.", "Neck pain."),
        ("Presenting with fever", "Fever."),
    ],
)
def test_an_indication_without_the_person(told: str, kept: str) -> None:
    report = f"INDICATION: {told}\nFINDINGS: Clear lungs."
    assert structure({"report": report})["indication"] == kept
