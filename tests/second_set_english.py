"""Dictated English for the second corruption set, with its faithful edit and its damaged ones.

Written by hand, before the checks were read. Each ``Said`` is one statement of a report: what was
dictated, what a faithful structuring keeps of it, and the same with one mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Said:
    """One statement; ``kept`` is empty where nothing but a comparison was said."""

    topic: str
    dictated: str
    kept: str
    present: bool = True
    wrong: dict[str, str] = field(default_factory=dict)


def _said(topic: str, dictated: str, kept: str = "", present: bool = True, **wrong: str) -> Said:
    return Said(topic, dictated, kept, present, wrong)


def _denied(topic: str, dictated: str, kept: str, **wrong: str) -> Said:
    return Said(topic, dictated, kept, False, wrong)


SAID: tuple[Said, ...] = (
    _said(
        "effusion",
        "Since the prior radiograph, the small left pleural effusion has slightly decreased.",
        "There is a small left pleural effusion.",
        side="There is a small right pleural effusion.",
        comparison="The small left pleural effusion has slightly decreased.",
        denial="There is no left pleural effusion.",
    ),
    _said(
        "effusion",
        "Moderate right-sided pleural effusion layers posteriorly, unchanged.",
        "Moderate right-sided pleural effusion layers posteriorly.",
        side="Moderate left-sided pleural effusion layers posteriorly.",
        comparison="Moderate right-sided pleural effusion layers posteriorly, unchanged.",
    ),
    _denied(
        "effusion",
        "No pleural effusion is identified.",
        "No pleural effusion is identified.",
        denial="Pleural effusion is identified.",
    ),
    _denied(
        "effusion",
        "The costophrenic angles are sharp, without evidence of pleural fluid.",
        "The costophrenic angles are sharp, without evidence of pleural fluid.",
        denial="The costophrenic angles are blunted, with evidence of pleural fluid.",
    ),
    _said(
        "pneumothorax",
        "A 2.5 cm right apical pneumothorax is again demonstrated.",
        "A 2.5 cm right apical pneumothorax is demonstrated.",
        side="A 2.5 cm left apical pneumothorax is demonstrated.",
        number="A 3.5 cm right apical pneumothorax is demonstrated.",
        comparison="A 2.5 cm right apical pneumothorax is again demonstrated.",
    ),
    _denied(
        "pneumothorax",
        "There is no evidence of pneumothorax.",
        "There is no evidence of pneumothorax.",
        denial="There is evidence of pneumothorax.",
    ),
    _denied(
        "pneumothorax",
        "The previously seen left pneumothorax is no longer visualized.",
        "No left pneumothorax is visualized.",
        side="No right pneumothorax is visualized.",
        denial="A left pneumothorax is visualized.",
        comparison="The previously seen left pneumothorax is no longer visualized.",
    ),
    _said(
        "heart",
        "Moderate cardiomegaly is stable.",
        "There is moderate cardiomegaly.",
        comparison="Moderate cardiomegaly is stable.",
        denial="There is no cardiomegaly.",
    ),
    _said(
        "heart",
        "The cardiac silhouette remains mildly enlarged.",
        "The cardiac silhouette is mildly enlarged.",
        comparison="The cardiac silhouette remains mildly enlarged.",
        denial="The cardiac silhouette is not enlarged.",
    ),
    _denied(
        "heart",
        "The heart is not enlarged.",
        "The heart is not enlarged.",
        denial="The heart is enlarged.",
    ),
    _said(
        "edema",
        "Interval worsening of mild interstitial pulmonary edema.",
        "Mild interstitial pulmonary edema.",
        comparison="Interval worsening of mild interstitial pulmonary edema.",
        denial="No interstitial pulmonary edema.",
    ),
    _denied(
        "edema",
        "No overt pulmonary edema or vascular congestion.",
        "No overt pulmonary edema or vascular congestion.",
        denial="Overt pulmonary edema and vascular congestion.",
    ),
    _said(
        "consolidation",
        "There is a new consolidation in the left lower lobe, concerning for pneumonia.",
        "There is a consolidation in the left lower lobe, concerning for pneumonia.",
        side="There is a consolidation in the right lower lobe, concerning for pneumonia.",
        comparison="There is a new consolidation in the left lower lobe, concerning for pneumonia.",
        denial="There is no consolidation in the left lower lobe.",
    ),
    _denied(
        "consolidation",
        "Lungs are free of focal consolidation.",
        "Lungs are free of focal consolidation.",
        denial="Lungs show focal consolidation.",
    ),
    _denied(
        "consolidation",
        "No new focal consolidation to suggest pneumonia.",
        "No focal consolidation to suggest pneumonia.",
        denial="Focal consolidation to suggest pneumonia.",
        comparison="No new focal consolidation to suggest pneumonia.",
    ),
    _said(
        "atelectasis",
        "Bibasilar atelectasis has improved compared to ___.",
        "There is bibasilar atelectasis.",
        comparison="Bibasilar atelectasis has improved compared to ___.",
        denial="There is no bibasilar atelectasis.",
    ),
    _said(
        "atelectasis",
        "Streaky retrocardiac opacity on the left likely reflects atelectasis.",
        "Streaky retrocardiac opacity on the left likely reflects atelectasis.",
        side="Streaky retrocardiac opacity on the right likely reflects atelectasis.",
    ),
    _said(
        "nodule",
        "A 7 mm calcified nodule in the right upper lobe is stable since ___.",
        "A 7 mm calcified nodule in the right upper lobe.",
        side="A 7 mm calcified nodule in the left upper lobe.",
        number="A 9 mm calcified nodule in the right upper lobe.",
        comparison="A 7 mm calcified nodule in the right upper lobe is stable.",
    ),
    _said(
        "nodule",
        "Multiple pulmonary nodules, the largest measuring 14 x 11 mm in the left lung base.",
        "Multiple pulmonary nodules, the largest measuring 14 x 11 mm in the left lung base.",
        side="Multiple pulmonary nodules, the largest measuring 14 x 11 mm in the right lung base.",
        number="Multiple pulmonary nodules, the largest measuring 41 x 11 mm in the left base.",
    ),
    _said(
        "device",
        "The endotracheal tube terminates 4.2 cm above the carina, previously 3 cm.",
        "The endotracheal tube terminates 4.2 cm above the carina.",
        number="The endotracheal tube terminates 2.4 cm above the carina.",
        comparison="The endotracheal tube terminates 4.2 cm above the carina, previously 3 cm.",
    ),
    _said(
        "device",
        "Right internal jugular catheter tip projects over the mid SVC.",
        "Right internal jugular catheter tip projects over the mid SVC.",
        side="Left internal jugular catheter tip projects over the mid SVC.",
    ),
    _said(
        "device",
        "Left pectoral dual-lead pacemaker is in unchanged position.",
        "Left pectoral dual-lead pacemaker is in place.",
        side="Right pectoral dual-lead pacemaker is in place.",
        comparison="Left pectoral dual-lead pacemaker is in unchanged position.",
    ),
    _said(
        "device",
        "The patient has been extubated in the interval. A left PICC ends in the cavoatrial "
        "junction.",
        "A left PICC ends in the cavoatrial junction.",
        side="A right PICC ends in the cavoatrial junction.",
    ),
    _said(
        "fracture",
        "Healed fractures of the 5th and 6th left ribs are seen.",
        "Healed fractures of the 5th and 6th left ribs are seen.",
        side="Healed fractures of the 5th and 6th right ribs are seen.",
        number="Healed fractures of the 7th and 8th left ribs are seen.",
    ),
    _denied(
        "fracture",
        "No acute osseous abnormality.",
        "No acute osseous abnormality.",
        denial="Acute osseous abnormality.",
    ),
    _denied(
        "fracture",
        "There is no displaced rib fracture.",
        "There is no displaced rib fracture.",
        denial="There is a displaced rib fracture.",
    ),
    _said(
        "mediastinum",
        "The mediastinum is widened, similar to prior.",
        "The mediastinum is widened.",
        comparison="The mediastinum is widened, similar to prior.",
        denial="The mediastinum is not widened.",
    ),
    _denied(
        "mediastinum",
        "Cardiomediastinal contours are within normal limits without hilar enlargement.",
        "Cardiomediastinal contours are within normal limits without hilar enlargement.",
        denial="Cardiomediastinal contours are within normal limits with hilar enlargement.",
    ),
    _said("nothing", "Otherwise, no significant interval change."),
    _said("nothing", "As compared to the previous radiograph, there is no relevant change."),
    _said(
        "volumes",
        "Lung volumes are low, as before.",
        "Lung volumes are low.",
        comparison="Lung volumes are low, as before.",
    ),
    _said(
        "abdomen",
        "Air is seen beneath the right hemidiaphragm.",
        "Air is seen beneath the right hemidiaphragm.",
        side="Air is seen beneath the left hemidiaphragm.",
        denial="No air is seen beneath the right hemidiaphragm.",
    ),
)

ADDED: dict[str, str] = {
    "effusion": "There is a trace right pleural effusion.",
    "pneumothorax": "A tiny left apical pneumothorax is present.",
    "heart": "The heart is enlarged.",
    "edema": "Mild pulmonary edema is present.",
    "consolidation": "Right middle lobe consolidation is seen.",
    "nodule": "A nodule projects over the right upper lobe.",
    "fracture": "There is a left clavicle fracture.",
    "device": "A nasogastric tube passes below the diaphragm.",
    "mediastinum": "The aorta is tortuous.",
}
"""One sentence on each topic, for reports that say nothing of it."""

LINES: tuple[tuple[str, str], ...] = (
    ("No acute cardiopulmonary process.", "No acute cardiopulmonary process."),
    ("Findings as above. No significant change since ___.", "Findings as above."),
    ("Limited by rotation, as before.", "Limited by rotation."),
    ("Recommend follow up with chest CT.", "Recommend follow up with chest CT."),
)
"""Impression lines that lean on no statement, and what is kept of them."""

INDICATIONS = (
    "___ year old man with dyspnea // evaluate for pneumonia",
    "History: ___F with fever and cough",
    "___-year-old woman status post fall, chest pain.",
)
KEPT_INDICATIONS = ("Dyspnea, evaluate for pneumonia.", "Fever and cough.", "Fall, chest pain.")
