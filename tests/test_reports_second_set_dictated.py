"""Structuring of dictated reports in MIMIC-CXR's manner, written without a look at the rules."""

from __future__ import annotations

import pytest
from second_set_english import SAID, Said

from sources.sections import section_report
from tasks.reports.comparison import comparison_words
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.offline_structure import structure
from tasks.reports.record import sections_of
from tasks.reports.wording import numbers_of, sides_of

NEW = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with new onset ascites  // eval for infection

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  None.

 FINDINGS:

 There is no focal consolidation, pleural effusion or pneumothorax.  Bilateral
 nodular opacities most likely represent nipple shadows. The
 cardiomediastinal silhouette is normal.  Clips project over the left lung,
 potentially within the breast.

 IMPRESSION:

 No acute cardiopulmonary process."""
COMPARED = """                                 FINAL REPORT
 INDICATION:  ___-year-old male with shortness of breath.

 COMPARISON:  Chest radiograph ___.

 FINDINGS:  As compared to the previous radiograph, there is no relevant change.
 The monitoring and support devices are constant. Unchanged moderate cardiomegaly
 with retrocardiac atelectasis.  The small right effusion has decreased since ___.
 No new focal parenchymal opacities.  In the interval, the patient has received a
 right PICC line with tip in the mid SVC. The previously described left apical
 pneumothorax is no longer seen.

 IMPRESSION:

 1. Interval decrease in small right effusion.
 2. No pneumothorax
 3. Stable cardiomegaly

 NOTIFICATION:  The findings were discussed with Dr. ___ by Dr. ___ on the
 telephone on ___ at 3 PM."""
CHANGING = """ FINDINGS: Interval improvement of pulmonary edema. Endotracheal tube has been
 removed. Nasogastric tube remains in place. Left lower lobe collapse is again noted.
 There has been interval placement of a left chest tube. Heart size is top normal,
 unchanged. There is new right basilar opacity worrisome for aspiration."""
WORSE = """ FINDINGS: Compared to the prior exam from ___ at 5:12, the lung volumes have
 improved. Persistent left basal atelectasis, slightly worse. No interval development
 of pneumothorax. Slight interval increase in moderate right pleural effusion.

 IMPRESSION: Slight interval worsening of right effusion, otherwise no significant
 interval change."""

EXPECTED: tuple[tuple[str, dict[str, str | None]], ...] = (
    (NEW, {
        "indication": "New onset ascites // eval for infection.",
        "findings": "There is no focal consolidation, pleural effusion or pneumothorax. Bilateral "
        "nodular opacities most likely represent nipple shadows. The cardiomediastinal silhouette "
        "is normal. Clips project over the left lung, potentially within the breast.",
        "impression": "No acute cardiopulmonary process.",
    }),
    (COMPARED, {
        "indication": "Shortness of breath.",
        "technique": None,
        "findings": "The monitoring and support devices are present. Moderate cardiomegaly with "
        "retrocardiac atelectasis. The small right effusion is present. No focal parenchymal "
        "opacities. There is a right PICC line with tip in the mid SVC. No left apical "
        "pneumothorax.",
        "impression": "Small right effusion. No pneumothorax. Cardiomegaly.",
    }),
    (CHANGING, {
        "indication": None,
        "findings": "There is pulmonary edema. No endotracheal tube. Nasogastric tube is in place. "
        "Left lower lobe collapse is noted. There is a left chest tube. Heart size is top normal. "
        "There is right basilar opacity worrisome for aspiration.",
        "impression": None,
    }),
    (WORSE, {
        "findings": "Left basal atelectasis. No pneumothorax. Moderate right pleural effusion.",
        "impression": "Right effusion.",
    }),
)  # fmt: skip


@pytest.mark.parametrize(("report", "sections"), EXPECTED, ids=["new", "same", "devices", "worse"])
def test_whole_reports(report: str, sections: dict[str, str | None]) -> None:
    answer = structure({"report": report})
    assert {name: answer[name] for name in sections} == sections
    text = section_report(report)
    assert text is not None
    kept = {name: body for name, body in answer.items() if body}
    assert check_structured(report, sections_of(text), kept) is None


def dictated(findings: str) -> str | None:
    return structure({"report": f"FINDINGS: {findings}\n\nIMPRESSION: As above."})["findings"]


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.dictated[:40])
def test_no_statement_keeps_its_comparison_or_gains_anything(said: Said) -> None:
    kept = dictated(said.dictated) or ""
    assert comparison_words(kept) == []
    assert sides_of(kept) <= sides_of(said.dictated)
    assert not numbers_of(kept) - numbers_of(said.dictated)
    if not said.kept:
        assert kept == ""
    elif not said.wrong.get("comparison"):
        assert kept == said.kept


@pytest.mark.parametrize(
    ("listed", "plain"),
    [
        ("1. Effusion. 2. Edema.", "Effusion. Edema."),
        ("1. Effusion 2. Edema 3. Nodule", "Effusion. Edema. Nodule."),
        ("1) Effusion\n 2) Edema", "Effusion. Edema."),
        ("Fracture of right rib 4. The lungs are clear.",
         "Fracture of right rib 4. The lungs are clear."),
        ("1. Fracture of rib 5. The lungs are clear. 2. Edema.",
         "Fracture of rib 5. The lungs are clear. Edema."),
        ("Tube ends at T4. The lungs are clear.", "Tube ends at T4. The lungs are clear."),
        ("- Effusion.\n - Edema.", "Effusion. Edema."),
        ("A 2.5 cm mass. 1.2 cm nodule.", "A 2.5 cm mass. 1.2 cm nodule."),
    ],
)  # fmt: skip
def test_only_the_numbers_of_a_list_go(listed: str, plain: str) -> None:
    assert structure({"report": f"IMPRESSION: {listed}"})["impression"] == plain


@pytest.mark.parametrize(
    ("sentence", "now"),
    [
        ("Cardiomegaly is stable.", "Cardiomegaly is present."),
        ("There is no interval change.", None),
        ("No significant change since ___.", None),
        ("The lungs are unchanged.", None),
        ("Right pneumothorax has resolved.", "No right pneumothorax."),
        ("The left chest tube has been removed.", "No left chest tube."),
        ("Increased interstitial markings.", "Increased interstitial markings."),
        ("Lung volumes are decreased.", "Lung volumes are decreased."),
        ("Again seen is a left effusion.", "Again seen is a left effusion."),
        ("Degenerative changes of the spine.", "Degenerative changes of the spine."),
        ("Prior sternotomy.", "Prior sternotomy."),
        ("In the interval, a PICC has been placed.", "A PICC is present."),
        ("Left effusion is unchanged in size.", "Left effusion is present."),
        ("Devices are constant.", "Devices are present."),
    ],
)
def test_change_becomes_state(sentence: str, now: str | None) -> None:
    if sentence.startswith("Again seen"):  # the verb's place may vary, the comparison may not
        kept = dictated(sentence) or ""
        assert "left effusion" in kept.lower() and "again" not in kept.lower()
        return
    assert dictated(sentence) == now
