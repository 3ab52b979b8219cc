"""Corruption sets three and four, and syntheses beside them, by another hand than the checks.

What each is worth as evidence, by when it was written and what was changed after it:

- *third* (``THIRD`` of each language): written before its author had read a word list of the
  checks. At first 92.8 % of it was caught structured (with 26 % of the faithful refused), 89.8 % in
  Spanish and 92.3 % in Portuguese (none refused). **The checks were tuned on it afterwards**: it
  shows now that nothing was lost since.
- *fourth* (``FOURTH``): written after that tuning, which its author may have known, and whole
  before any of it was run. Then 96.6 %, 99.5 % and 99.5 % were caught and none refused. **Two
  patterns were tuned on it afterwards**: it is unseen no more either.
- *syntheses* (``LABELLED``): 91.2 % were caught and none refused, since denials of labels that
  ``rule14`` does not know passed. **The check that refuses those was made for it afterwards**, and
  the table was last edited after that.

The sentences are as their author left them. Still kept: ``Gynecomastia.`` added to a synthesis, a
comparison where the source says ``antiguas``, ``aumentado`` or ``alterações`` of the present, and a
second finding of a kind that the report has (``multiple lung nodules`` beside one nodule).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import fidelity_strangers_english as english
import fidelity_strangers_portuguese as portuguese
import fidelity_strangers_spanish as spanish
from second_set_world import Phrase


@dataclass(frozen=True)
class Bank:
    """The sentences of one set in one language.

    Args:
        phrases: as written, faithful in English, and with one mistake by kind.
        added: findings that none of the phrases states.
        compared: ends that make a comparison of a sentence; none where the phrases have their own.
        draws: reports to make of it.
    """

    phrases: tuple[Phrase, ...]
    added: tuple[str, ...]
    compared: tuple[str, ...]
    draws: int


_COMPARED = (
    ", unchanged from the prior study",
    ", improved since the previous radiograph",
    ", new compared with the prior",
    ", stable",
)
_THIRD_ADDED = (
    "Small hiatal hernia.",
    "There is a cavity.",
    "Left rib fracture.",
    "Pulmonary edema.",
    "Enlarged mediastinal lymph nodes.",
    "Lung mass.",
)
_FOURTH_ADDED = (
    "Left humeral fracture.",
    "There is a pleural effusion.",
    "Hilar lymphadenopathy.",
    "Diffuse bronchiectasis.",
    "Severe cardiomegaly.",
    "Mild scoliosis.",
)
_THIRD_ADDED_ENGLISH = (
    "Small hiatal hernia.",
    "Right clavicle fracture.",
    "Cavitary lesion in the left apex.",
    "There is pulmonary edema.",
    "Enlarged hila suggest lymphadenopathy.",
    "Pneumoperitoneum is present.",
    "Multiple lung nodules.",
)
_FOURTH_ADDED_ENGLISH = (
    "Left humeral fracture.",
    "There is a hydropneumothorax.",
    "Right hilar mass.",
    "Diffuse bronchiectasis.",
    "Cardiomegaly is severe.",
    "Subcutaneous emphysema.",
)

BANKS: dict[tuple[str, str], Bank] = {
    ("third", "en"): Bank(english.THIRD, _THIRD_ADDED_ENGLISH, (), 100),
    ("third", "es"): Bank(spanish.THIRD, _THIRD_ADDED, _COMPARED, 100),
    ("third", "pt"): Bank(portuguese.THIRD, _THIRD_ADDED, _COMPARED, 100),
    ("fourth", "en"): Bank(english.FOURTH, _FOURTH_ADDED_ENGLISH, (), 70),
    ("fourth", "es"): Bank(spanish.FOURTH, _FOURTH_ADDED, _COMPARED, 70),
    ("fourth", "pt"): Bank(portuguese.FOURTH, _FOURTH_ADDED, _COMPARED, 70),
}
"""By set and ISO 639-1 code of what the sentences are written in; English ones are structured."""


@dataclass(frozen=True)
class LabelledPhrase:
    """A PadChest label that is positive, a sentence that states it, and ones with one mistake."""

    name: str
    location: str | None
    right: str
    wrong: dict[str, str] = field(default_factory=dict)


def _one(name: str, location: str | None, right: str, **wrong: str) -> LabelledPhrase:
    return LabelledPhrase(name, location, right, wrong)


LABELLED: tuple[LabelledPhrase, ...] = (
    _one(
        "pleural effusion",
        "loc right",
        "Layering effusion on the right.",
        side="Layering effusion on the left.",
        denial="No pleural effusion.",
        comparison="Enlarging effusion on the right compared to the prior.",
    ),
    _one(
        "nodule",
        "loc left",
        "A nodule projects over the left lung.",
        side="A nodule projects over the right lung.",
        denial="No pulmonary nodule.",
        number="A 9 mm nodule projects over the left lung.",
    ),
    _one(
        "cardiomegaly",
        None,
        "The heart is enlarged.",
        denial="The heart is not enlarged.",
        comparison="The heart is enlarged, unchanged.",
    ),
    _one(
        "hiatal hernia",
        None,
        "Retrocardiac air-fluid level of a hiatal hernia.",
        denial="No hiatal hernia.",
    ),
    _one(
        "scoliosis",
        None,
        "Scoliotic spine.",
        denial="No scoliosis.",
    ),
    _one(
        "pneumothorax",
        "loc right",
        "Right apical pneumothorax.",
        side="Left apical pneumothorax.",
        denial="No pneumothorax.",
        comparison="New right apical pneumothorax.",
    ),
    _one(
        "rib fracture",
        "loc left",
        "Fractured left ribs.",
        side="Fractured right ribs.",
        denial="No rib fracture.",
        number="Three fractured left ribs.",
    ),
    _one(
        "consolidation",
        "loc right",
        "Consolidation of the right lung.",
        side="Consolidation of the left lung.",
        denial="No consolidation.",
        comparison="Improving consolidation of the right lung.",
    ),
    _one(
        "emphysema",
        None,
        "Emphysematous lungs.",
        denial="No emphysema.",
    ),
    _one(
        "endotracheal tube",
        None,
        "An endotracheal tube is in place.",
        number="An endotracheal tube ends 3 cm above the carina.",
        denial="No endotracheal tube.",
    ),
    _one(
        "aortic atheromatosis",
        None,
        "Atheromatous aorta.",
        denial="The aorta is not atheromatous.",
    ),
    _one(
        "atelectasis",
        "loc left",
        "Atelectasis on the left.",
        side="Atelectasis on the right.",
        denial="No atelectasis.",
        comparison="Persistent atelectasis on the left.",
    ),
)
LABELLED_ADDED: dict[str, str] = {
    "Right clavicle fracture.": "rib fracture",
    "Pulmonary edema.": "",
    "Bronchiectasis.": "",
    "Kyphosis.": "",
    "Pneumonia.": "",
    "Pleural thickening.": "",
    "Lung mass.": "nodule",
    "Gynecomastia.": "",
}
"""Findings to add, each with the label, if any, beside which it would be no addition."""
