"""Labels for the second corruption set, with sentences a language model may well write for them.

Written by hand, before the checks were read.
"""

from __future__ import annotations

from dataclasses import dataclass

from sources.record import LabelValue, SourceLabel

YES, MAYBE, NONE = LabelValue.POSITIVE, LabelValue.UNCERTAIN, LabelValue.NEGATIVE


@dataclass(frozen=True)
class Labelled:
    """One label and sentences that state it; ``flipped`` names the other side."""

    label: SourceLabel
    topic: str
    right: tuple[str, ...]
    flipped: str = ""
    turned: str = ""

    @property
    def name(self) -> str:
        return self.label.name


def _one(
    name: str,
    value: LabelValue,
    topic: str,
    *right: str,
    place: str | None = None,
    flipped: str = "",
    turned: str = "",
) -> Labelled:
    return Labelled(SourceLabel(name, value, place), topic, right, flipped, turned)


PADCHEST: tuple[Labelled, ...] = (
    _one(
        "pleural effusion",
        YES,
        "effusion",
        "There is a left pleural effusion.",
        "A pleural effusion is seen on the left.",
        "Left-sided pleural effusion is noted.",
        place="loc left",
        flipped="There is a right pleural effusion.",
        turned="There is no left pleural effusion.",
    ),
    _one(
        "cardiomegaly",
        YES,
        "heart",
        "The heart is enlarged.",
        "Cardiomegaly is present.",
        "The cardiac silhouette is enlarged.",
        turned="There is no cardiomegaly.",
    ),
    _one(
        "pneumothorax",
        YES,
        "pneumothorax",
        "There is a right apical pneumothorax.",
        "A pneumothorax is present at the right apex.",
        place="loc apical, loc right",
        flipped="There is a left apical pneumothorax.",
        turned="There is no right apical pneumothorax.",
    ),
    _one(
        "nodule",
        YES,
        "lesion",
        "A nodule is seen in the left upper lung field.",
        "There is a pulmonary nodule in the left upper lobe.",
        place="loc left upper lobe",
        flipped="A nodule is seen in the right upper lung field.",
        turned="No nodule is seen in the left upper lobe.",
    ),
    _one(
        "laminar atelectasis",
        YES,
        "atelectasis",
        "There is linear atelectasis at the right base.",
        "Plate-like atelectasis is seen at the right lung base.",
        place="loc basal, loc right",
        flipped="There is linear atelectasis at the left base.",
        turned="There is no linear atelectasis at the right base.",
    ),
    _one(
        "rib fracture",
        YES,
        "fracture",
        "There is a fracture of a left rib.",
        "A left rib fracture is seen.",
        place="loc rib, loc left",
        flipped="There is a fracture of a right rib.",
        turned="There is no left rib fracture.",
    ),
    _one(
        "aortic elongation",
        YES,
        "aorta",
        "The aorta is elongated.",
        "Aortic elongation is noted.",
    ),
    _one("scoliosis", YES, "spine", "There is scoliosis.", "Scoliosis of the thoracic spine."),
    _one("hiatal hernia", YES, "hernia", "A hiatal hernia is seen.", "There is a hiatal hernia."),
    _one(
        "costophrenic angle blunting",
        YES,
        "angle",
        "There is blunting of the right costophrenic angle, possibly a small pleural effusion.",
        "The right costophrenic angle is blunted. Possible pleural effusion.",
        place="loc right costophrenic angle",
        flipped="There is blunting of the left costophrenic angle. Possible pleural effusion.",
    ),
    _one(
        "central venous catheter via jugular vein",
        YES,
        "line",
        "A central venous catheter has been placed via the jugular vein.",
        "There is a jugular central venous catheter.",
    ),
    _one(
        "consolidation",
        MAYBE,
        "consolidation",
        "Possible consolidation in the right lower lobe.",
        "There may be consolidation in the right lower lobe.",
        place="loc right lower lobe",
        flipped="Possible consolidation in the left lower lobe.",
        turned="No consolidation in the right lower lobe.",
    ),
    _one(
        "hilar enlargement",
        YES,
        "hilum",
        "There is enlargement of the left hilum.",
        "The left hilum is enlarged.",
        place="loc left hilar",
        flipped="There is enlargement of the right hilum.",
    ),
)

CHEXPERT: tuple[Labelled, ...] = (
    _one(
        "Pneumothorax",
        NONE,
        "pneumothorax",
        "There is no pneumothorax.",
        "No pneumothorax is seen.",
        "Pneumothorax is absent.",
        turned="There is a pneumothorax.",
    ),
    _one(
        "Pleural Effusion",
        NONE,
        "effusion",
        "No pleural effusion.",
        "There is no evidence of pleural effusion.",
        "The pleural spaces are free of effusion.",
        turned="There is a pleural effusion.",
    ),
    _one(
        "Edema",
        MAYBE,
        "edema",
        "Possible pulmonary edema.",
        "There may be pulmonary edema.",
        "Findings may represent pulmonary edema.",
        turned="There is no pulmonary edema.",
    ),
    _one(
        "Consolidation",
        NONE,
        "consolidation",
        "No focal consolidation.",
        "Consolidation is not seen.",
        turned="Consolidation is seen.",
    ),
    _one(
        "Cardiomegaly",
        NONE,
        "heart",
        "The heart is not enlarged.",
        "There is no cardiomegaly.",
        "Heart size is normal.",
        turned="The heart is enlarged.",
    ),
    _one(
        "Lung Opacity",
        YES,
        "opacity",
        "There is a lung opacity.",
        "Pulmonary opacity is present.",
        turned="There is no lung opacity.",
    ),
    _one(
        "Support Devices",
        YES,
        "device",
        "Support devices are in place.",
        "A support device is present.",
        turned="No support devices are present.",
    ),
    _one(
        "Fracture",
        MAYBE,
        "fracture",
        "Possible fracture.",
        "A fracture cannot be excluded.",
        turned="There is no fracture.",
    ),
    _one(
        "Lung Lesion",
        MAYBE,
        "lesion",
        "There may be a lung lesion.",
        "A lung lesion is suspected.",
        turned="There is no lung lesion.",
    ),
    _one(
        "Pneumonia",
        YES,
        "pneumonia",
        "Findings are consistent with pneumonia.",
        "There is pneumonia.",
        turned="There is no pneumonia.",
    ),
    _one(
        "Atelectasis",
        YES,
        "atelectasis",
        "Atelectasis is present.",
        "There is atelectasis.",
        turned="There is no atelectasis.",
    ),
    _one(
        "Enlarged Cardiomediastinum",
        NONE,
        "mediastinum",
        "The mediastinum is not widened.",
        "The cardiomediastinal silhouette is not enlarged.",
        turned="The mediastinum is widened.",
    ),
    _one(
        "Pleural Other",
        YES,
        "pleura",
        "There is pleural thickening.",
        "Pleural thickening is present.",
        turned="There is no pleural thickening.",
    ),
)

ADDED: dict[str, str] = {
    "effusion": "There is a pleural effusion.",
    "pneumothorax": "A pneumothorax is present.",
    "heart": "Moderate cardiomegaly.",
    "edema": "Pulmonary edema is present.",
    "fracture": "There is an acute clavicle fracture.",
    "lesion": "A lung mass is noted.",
    "device": "An endotracheal tube is in place.",
    "aorta": "The aorta is calcified.",
    "hernia": "There is a hiatal hernia.",
}

COMPARED = (
    "This is unchanged from the prior examination.",
    "The appearance is stable.",
    "Findings have worsened in the interval.",
    "There has been interval improvement.",
)
NUMBERED = ("measuring 3 cm", "of 12 mm", "about 4.5 cm in size")
