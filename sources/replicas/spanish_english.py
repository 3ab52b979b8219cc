"""What a PadChest replica's Spanish reports say, in English: the known translation.

Sentence by sentence in the order of ``spanish.write_spanish`` and drawn by the same numbers, so
that equal truths give a report and its translation. Written by hand for each Spanish sentence,
without a look at what any translator makes of it.
"""

from __future__ import annotations

import numpy as np

from sources.replicas.spanish import denials, spanish_generator
from sources.replicas.truth import ChestTruth, TrueFinding
from sources.replicas.wording_phrases import phrase_key

ZONES = {"upper": "upper", "middle": "mid", "lower": "lower"}
DEGREES = {"small": "mild", "moderate": "moderate", "large": "severe"}
SIZES = {"small": "small", "moderate": "moderate", "large": "large"}
"""How much fluid or air there is; the heart and edema have DEGREES."""

ENGLISH: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("{degree} cardiomegaly.", "There is {degree} cardiomegaly."),
    "enlarged mediastinum": ("Mediastinal widening.", "Widened upper mediastinum."),
    "pleural effusion": (
        "{size} {side} pleural effusion.",
        "There is a {size} {side} pleural effusion.",
    ),
    "pleural effusion bilateral": ("{size} bilateral pleural effusions.",),
    "pleural effusion lateral": (
        "Small posterior pleural effusion visible only on the lateral view.",
    ),
    "pneumothorax": ("{size} {side} pneumothorax.", "There is a {size} {side} pneumothorax."),
    "consolidation": ("Consolidation in the {place}.", "Consolidation in the {place}."),
    "lung opacity": ("Increased density in the {place}.", "Ill-defined opacity in the {place}."),
    "lung opacity bilateral": ("Ill-defined opacities in both {zone} lung fields.",),
    "nodule small": ("Pulmonary nodule in the {place}.", "Small nodule in the {place}."),
    "nodule large": ("Lung mass in the {place}.", "There is a mass in the {place}."),
    "nodule lateral": ("Retrocardiac nodule visible only on the lateral view.",),
    "edema": ("{degree} pulmonary edema.", "{degree} perihilar pulmonary edema."),
    "atelectasis linear": ("Linear atelectasis at the {side} base.",),
    "atelectasis linear bilateral": ("Linear atelectasis at both bases.",),
    "atelectasis lobar": ("Atelectasis of the {side} lower lobe with volume loss.",),
    "atelectasis lobar bilateral": ("Atelectasis of both lower lobes.",),
    "pleural thickening": ("{side} apical pleural thickening.",),
    "rib fracture": ("Displaced fracture of a {side} {zone_of_ribs} rib.",),
    "endotracheal tube": ("Endotracheal tube above the carina.",),
    "central line": ("{side} central venous catheter with its tip in the superior vena cava.",),
    "pacemaker": ("{side} pacemaker.", "{side} pacemaker in place."),
    "chest tube": ("{side} chest drain.",),
    "coin": ("Round metallic foreign body over the {place}.",),
    "button": ("Metallic button projected over the {place}.",),
    "pin": ("Metallic pin projected over the {place}.",),
    "necklace": ("Metallic necklace projected over the neck.",),
}
"""As many sentences as ``spanish_phrases.POSITIVE`` has, each the translation of its twin."""

NORMAL = (
    "No significant findings.",
    "No pathological findings.",
    "Chest radiograph without abnormalities.",
)
NEGATIVE = (
    ("pleural effusion", "No pleural effusion is seen."),
    ("pneumothorax", "No pneumothorax is seen."),
    ("cardiomegaly", "Normal-sized cardiac silhouette."),
    ("consolidation", "No consolidation is seen."),
)
QUIET = "No other significant findings."


def write_english(truth: ChestTruth) -> tuple[str, ...]:
    """The sentences of ``write_spanish`` in English."""
    rng = spanish_generator(truth)
    said = [_sentence(finding, rng) for finding in truth.findings]
    return (*said, *denials(truth, rng, NORMAL, NEGATIVE, QUIET))


def _sentence(finding: TrueFinding, rng: np.random.Generator) -> str:
    options = ENGLISH[phrase_key(finding)]
    zone, severity = finding.zone or "lower", finding.severity or "moderate"
    side = finding.side or "left"
    text = options[int(rng.integers(len(options)))].format(
        side=side,
        zone=ZONES[zone],
        zone_of_ribs={"upper": "upper", "middle": "middle", "lower": "lower"}[zone],
        place=f"{side} {ZONES[zone]} lung field",
        degree=DEGREES[severity],
        size=SIZES[severity],
    )
    if finding.kind == "pneumonia":
        text = text[:-1] + " consistent with pneumonia."
    if finding.kind == "possible pneumonia":
        text = text[:-1] + ", possible pneumonia."
    return text[0].upper() + text[1:]
