"""The sentences that replica reports are made of; all are our own.

Slots: ``{side}``, ``{place}`` (side and zone: "left lower lobe"), ``{zone}``, ``{degree}`` and
``{degreely}`` (the adverb), ``{a_degree}`` (with its article). Words that a labeler takes for
another finding are kept out ("line" names a device, "collapse" an atelectasis).
"""

from __future__ import annotations

from dataclasses import dataclass

from sources.replicas.truth import TrueFinding

POSITIVE: dict[str, tuple[str, ...]] = {
    "cardiomegaly": (
        "There is {degree} cardiomegaly.",
        "The heart is {degreely} enlarged.",
        "{degree} enlargement of the cardiac silhouette is present.",
        "Cardiac size is {degreely} enlarged.",
    ),
    "enlarged mediastinum": (
        "The mediastinum is widened.",
        "There is widening of the upper mediastinum.",
        "The mediastinal contour is enlarged.",
    ),
    "pleural effusion": (
        "There is {a_degree} {side} pleural effusion.",
        "{a_degree} pleural effusion is seen on the {side}.",
        "{a_degree} {side}-sided pleural effusion is present.",
        "{degree} {side} pleural effusion is noted.",
    ),
    "pleural effusion bilateral": (
        "There are {degree} bilateral pleural effusions.",
        "{degree} pleural effusions are seen on both sides.",
        "Bilateral {degree} pleural effusions are present.",
    ),
    "pleural effusion lateral": (
        "A small pleural effusion is seen in the posterior sulcus on the lateral view only.",
        "The lateral view shows a small posterior pleural effusion.",
    ),
    "pneumothorax": (
        "There is {a_degree} {side} pneumothorax.",
        "{a_degree} pneumothorax is present on the {side}.",
        "{a_degree} {side}-sided pneumothorax is seen.",
        "{degree} {side} pneumothorax is noted.",
    ),
    "consolidation": (
        "There is consolidation in the {place}.",
        "Dense consolidation is seen in the {place}.",
        "Consolidation with air bronchograms is present in the {place}.",
        "The {place} is consolidated.",
    ),
    "lung opacity": (
        "There is a hazy opacity in the {place}.",
        "Patchy opacity is seen in the {place}.",
        "An ill-defined opacity is present in the {place}.",
    ),
    "lung opacity bilateral": (
        "There are hazy opacities in both {zone}.",
        "Patchy opacities are seen in both {zone}.",
    ),
    "nodule small": (
        "There is a small nodule in the {place}.",
        "A small round nodule is seen in the {place}.",
        "A pulmonary nodule is present in the {place}.",
    ),
    "nodule large": (
        "There is a mass in the {place}.",
        "A large round mass is seen in the {place}.",
        "A lung mass is present in the {place}.",
    ),
    "nodule lateral": (
        "A small nodule is seen behind the heart shadow on the lateral view only.",
        "The lateral view shows a small retrocardiac nodule.",
    ),
    "edema": (
        "There is {degree} pulmonary edema.",
        "{degree} pulmonary edema is present.",
        "{degree} edema is seen around both hila.",
    ),
    "atelectasis linear": (
        "There is linear atelectasis at the {side} base.",
        "Plate-like atelectasis is seen at the {side} lung base.",
        "Linear atelectasis is present at the {side} lung base.",
    ),
    "atelectasis linear bilateral": (
        "There is linear atelectasis at both bases.",
        "Plate-like atelectasis is seen at both lung bases.",
    ),
    "atelectasis lobar": (
        "There is {side} lower lobe atelectasis with volume loss.",
        "Atelectasis of the {side} lower lobe is present.",
        "Atelectasis with volume loss is seen in the {side} lower lobe.",
    ),
    "atelectasis lobar bilateral": (
        "There is atelectasis of both lower lobes.",
        "Atelectasis with volume loss is seen in both lower lobes.",
    ),
    "pleural thickening": (
        "There is {side} apical pleural thickening.",
        "Pleural thickening is seen at the {side} apex.",
    ),
    "rib fracture": (
        "There is a displaced fracture of {a_zone} {side} rib.",
        "A displaced {side} {zone} rib fracture is seen.",
        "A fracture of {a_zone} {side} rib is present.",
    ),
    "endotracheal tube": (
        "An endotracheal tube ends above the carina.",
        "The tip of the endotracheal tube is above the carina.",
        "An endotracheal tube is in place.",
    ),
    "central line": (
        "A {side} central venous catheter ends in the superior vena cava.",
        "A {side} central line is in place.",
        "The tip of the {side} central venous catheter is in the superior vena cava.",
    ),
    "pacemaker": (
        "A {side} chest wall pacemaker is in place.",
        "There is a {side} pacemaker with intact leads.",
    ),
    "chest tube": (
        "A {side} chest tube is in place.",
        "There is a {side} chest tube that ends near the apex.",
    ),
    "coin": (
        "A round metallic foreign body projects over the {place}.",
        "There is a coin-shaped foreign body over the {place}.",
    ),
    "button": (
        "A button projects over the {place}.",
        "There is a ring-shaped foreign body over the {place}.",
    ),
    "pin": (
        "A metal pin projects over the {place}.",
        "There is a pin-shaped foreign body over the {place}.",
    ),
    "necklace": (
        "A necklace projects over the upper chest.",
        "There is a metal chain around the neck.",
    ),
}

DOUBTFUL: dict[str, tuple[str, ...]] = {
    "pleural effusion": ("There may be {a_degree} {side} pleural effusion.",
                         "A {side} pleural effusion is possible."),
    "pneumothorax": ("There may be {a_degree} {side} pneumothorax.",
                     "Possible {degree} {side} pneumothorax."),
    "consolidation": ("Possible consolidation in the {place}.",
                      "There may be consolidation in the {place}."),
    "lung opacity": ("There may be a hazy opacity in the {place}.",
                     "Possible opacity in the {place}."),
    "nodule small": ("Possible small nodule in the {place}.",
                     "There may be a small nodule in the {place}."),
    "edema": ("There may be {degree} pulmonary edema.", "Possible {degree} pulmonary edema."),
    "atelectasis linear": ("Possible linear atelectasis at the {side} base.",
                           "There may be atelectasis at the {side} lung base."),
    "cardiomegaly": ("The heart may be {degreely} enlarged.", "Possible {degree} cardiomegaly."),
}  # fmt: skip
"""Findings that radiologists often leave in doubt; the others are always stated."""


@dataclass(frozen=True)
class Denial:
    """Sentences said with some chance where the findings are absent, and what they deny."""

    chance: float
    denies: tuple[str, ...]
    absent: tuple[str, ...]
    sentences: tuple[str, ...]


_IN_LUNG = ("consolidation", "lung opacity", "nodule", "edema", "atelectasis")
_PLEURAL = ("pleural effusion", "pneumothorax", "pleural thickening")

SYSTEMS: tuple[tuple[tuple[str, ...], tuple[Denial, ...]], ...] = (
    (_IN_LUNG, (
        Denial(0.8, ("Lung Opacity",), (*_IN_LUNG, *_PLEURAL),
               ("The lungs are clear.", "Both lungs are clear.",
                "The lungs are clear bilaterally.")),
        Denial(0.45, ("Consolidation",), ("consolidation",),
               ("There is no focal consolidation.", "No consolidation is seen.")),
        Denial(0.25, ("Edema",), ("edema",),
               ("There is no pulmonary edema.", "No pulmonary edema is seen.")),
        Denial(0.1, ("Lung Lesion",), ("nodule",),
               ("No nodule or mass is seen.", "There is no lung mass.")),
        Denial(0.1, ("Lung Opacity",), ("consolidation", "lung opacity", "atelectasis", "edema"),
               ("There is no focal opacity.", "No opacity is seen.")),
    )),
    (_PLEURAL, (
        Denial(0.9, ("Pleural Effusion", "Pneumothorax"), ("pleural effusion", "pneumothorax"),
               ("There is no pleural effusion or pneumothorax.",
                "No pleural effusion or pneumothorax is seen.")),
        Denial(0.8, ("Pneumothorax",), ("pneumothorax",),
               ("There is no pneumothorax.", "No pneumothorax is seen.")),
        Denial(0.8, ("Pleural Effusion",), ("pleural effusion",),
               ("There is no pleural effusion.", "No pleural effusion is seen.")),
    )),
    (("cardiomegaly",), (
        Denial(0.85, ("Cardiomegaly",), ("cardiomegaly",),
               ("The heart size is normal.", "The heart is not enlarged.",
                "Cardiac size is within normal limits.")),
    )),
    (("enlarged mediastinum",), (
        Denial(0.6, ("Enlarged Cardiomediastinum",), ("enlarged mediastinum",),
               ("The mediastinum is not widened.", "The mediastinal contours are normal.")),
    )),
    (("rib fracture",), (
        Denial(0.3, ("Fracture",), ("rib fracture",),
               ("No rib fracture is seen.", "There is no acute fracture.")),
    )),
    (("support device", "foreign object"), ()),
)  # fmt: skip
"""Report order: findings of each system, then what is denied of it."""

NEUTRAL = (
    "The bony structures are intact.",
    "The upper abdomen is unremarkable.",
    "The hila are unremarkable.",
    "The soft tissues are unremarkable.",
)

NORMAL_IMPRESSIONS = (
    "No acute cardiopulmonary process.",
    "Normal chest radiograph.",
    "No acute disease of the chest.",
    "No acute cardiopulmonary abnormality.",
)

SHORT: dict[str, str] = {
    "cardiomegaly": "{degree} cardiomegaly.",
    "enlarged mediastinum": "Widened mediastinum.",
    "pleural effusion": "{degree} {side} pleural effusion.",
    "pleural effusion bilateral": "{degree} bilateral pleural effusions.",
    "pleural effusion lateral": "Small posterior pleural effusion.",
    "pneumothorax": "{degree} {side} pneumothorax.",
    "consolidation": "{place} consolidation.",
    "lung opacity": "{place} opacity.",
    "lung opacity bilateral": "Opacities in both {zone}.",
    "nodule small": "Small nodule in the {place}.",
    "nodule large": "Mass in the {place}.",
    "nodule lateral": "Small retrocardiac nodule.",
    "edema": "{degree} pulmonary edema.",
    "atelectasis linear": "Linear atelectasis at the {side} base.",
    "atelectasis linear bilateral": "Linear atelectasis at both bases.",
    "atelectasis lobar": "{side} lower lobe atelectasis.",
    "atelectasis lobar bilateral": "Atelectasis of both lower lobes.",
    "pleural thickening": "{side} apical pleural thickening.",
    "rib fracture": "Displaced {side} {zone} rib fracture.",
    "endotracheal tube": "Endotracheal tube in place.",
    "central line": "{side} central venous catheter in place.",
    "pacemaker": "{side} pacemaker in place.",
    "chest tube": "{side} chest tube in place.",
    "coin": "Foreign body over the {place}.",
    "button": "Foreign body over the {place}.",
    "pin": "Foreign body over the {place}.",
    "necklace": "Necklace over the upper chest.",
}
"""The impression's wording."""

PNEUMONIA: dict[str, tuple[str, ...]] = {
    "pneumonia": ("This is consistent with pneumonia.", "This is compatible with pneumonia."),
    "possible pneumonia": ("This may represent pneumonia.", "Pneumonia is possible."),
}

COMPLAINTS = (
    "cough", "fever", "shortness of breath", "chest pain", "weakness", "dizziness", "malaise",
    "nausea", "weight loss", "fatigue", "hoarseness", "night sweats",
)  # fmt: skip
"""Reasons for an examination; drawn without a look at the truth, so that they tell nothing."""

OCCASIONS = (
    "Preoperative evaluation.",
    "Routine examination.",
    "Follow-up examination.",
    "Health check.",
)

DEGREES: dict[str, dict[str, str]] = {
    "cardiomegaly": {"small": "mild", "moderate": "moderate", "large": "severe"},
    "edema": {"small": "mild", "moderate": "moderate", "large": "severe"},
}
"""Where a degree has another word than small, moderate, large."""


def phrase_key(finding: TrueFinding) -> str:
    """Which of the phrases speaks of that finding."""
    if finding.lateral_only:
        return f"{finding.name} lateral"
    if finding.name in ("support device", "foreign object"):
        return str(finding.kind)
    key = finding.name
    if finding.name == "nodule":
        key += f" {finding.severity}"
    if finding.name == "atelectasis":
        key += f" {finding.kind}"
    if finding.side == "bilateral" and finding.name != "edema":
        key += " bilateral"
    return key
