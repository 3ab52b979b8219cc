"""rule14 on whole synthetic reports: all labels of each, and nothing else.

A change of these is a change of the output: raise ``labeler_rules.REVISION`` with it.
"""

from __future__ import annotations

import pytest

from evaluation.labeler import label_report
from evaluation.labeler_rules import REVISION
from sources.record import LabelValue

P, N, U = LabelValue.POSITIVE, LabelValue.NEGATIVE, LabelValue.UNCERTAIN
Labels = dict[str, LabelValue]

REPORTS: list[tuple[str, str, Labels]] = [
    (
        "normal chest with normal anatomy",
        "The cardiomediastinal silhouette is normal. The lungs are clear. There is no pleural "
        "effusion or pneumothorax. The osseous structures are unremarkable.",
        {
            "Enlarged Cardiomediastinum": N,
            "Lung Opacity": N,
            "Pleural Effusion": N,
            "Pneumothorax": N,
            "No Finding": P,
        },
    ),
    (
        "intensive care",
        "ET tube ends 4 cm above the carina. Right IJ line ends in the SVC. Enteric tube passes "
        "below the diaphragm. Diffuse bilateral opacities, likely pulmonary edema. Bilateral "
        "pleural effusions, right larger than left. No pneumothorax.",
        {
            "Support Devices": P,
            "Lung Opacity": P,
            "Edema": P,
            "Pleural Effusion": P,
            "Pneumothorax": N,
        },
    ),
    (
        "lines removed, lungs improving",
        "Interval removal of the right PICC. Previously seen left effusion has resolved. Improved "
        "aeration with residual bibasilar atelectasis. The heart remains mildly enlarged.",
        {
            "Support Devices": N,
            "Pleural Effusion": N,
            "Atelectasis": P,
            "Cardiomegaly": P,
        },
    ),
    (
        "pneumonia in question",
        "Patchy right middle lobe opacity, which may represent pneumonia or atelectasis. No "
        "effusion. Heart size normal.",
        {
            "Lung Opacity": P,
            "Pneumonia": U,
            "Atelectasis": U,
            "Pleural Effusion": N,
            "Cardiomegaly": N,
        },
    ),
    (
        "nodule to follow",
        "A 6 mm nodular density projects over the left mid lung. Recommend CT to exclude a mass. "
        "No consolidation. No hilar adenopathy.",
        {"Lung Lesion": P, "Consolidation": N},
    ),
    (
        "trauma",
        "Acute displaced fractures of the left 5th through 8th ribs. Small left apical "
        "pneumothorax. No mediastinal widening. Subcutaneous emphysema along the left chest wall.",
        {"Fracture": P, "Pneumothorax": P, "Enlarged Cardiomediastinum": N},
    ),
    (
        "old disease",
        "Calcified granulomas from old granulomatous disease. Biapical pleural thickening. Healed "
        "left rib fracture. History of pneumonia. Lungs otherwise clear.",
        {"Pleural Other": P, "Fracture": P},
    ),
    (
        "after surgery",
        "Median sternotomy wires and mitral valve prosthesis. The heart is top normal in size "
        "without congestive failure. The left chest tube has been removed; there is no "
        "pneumothorax.",
        {"Support Devices": P, "Cardiomegaly": N, "Edema": N, "Pneumothorax": N, "No Finding": P},
    ),
    (
        "numbered impression",
        "1. No pneumothorax. 2. Stable moderate cardiomegaly. 3. Unchanged small effusions with "
        "adjacent atelectasis.",
        {"Pneumothorax": N, "Cardiomegaly": P, "Pleural Effusion": P, "Atelectasis": P},
    ),
    (
        "a list of dashes",
        "- Endotracheal tube in standard position\n - No pneumothorax\n - Increasing right "
        "effusion\n - Mild vascular congestion",
        {"Support Devices": P, "Pneumothorax": N, "Pleural Effusion": P, "Edema": P},
    ),
    (
        "upper case",
        "LARGE RIGHT PNEUMOTHORAX WITH COLLAPSE OF THE RIGHT LUNG. NO SHIFT OF THE MEDIASTINUM.",
        {"Pneumothorax": P, "Atelectasis": P},
    ),
    (
        "de-identified words",
        "XXXX left lower lobe airspace disease XXXX pneumonia. No XXXX effusion. Heart size is "
        "XXXX enlarged.",
        {"Lung Opacity": P, "Pneumonia": P, "Pleural Effusion": N, "Cardiomegaly": P},
    ),
    (
        "all denied in one sentence",
        "There is no evidence of cardiomegaly, edema, pneumonia, pleural effusion, pneumothorax, "
        "nodule, or fracture.",
        {
            "Cardiomegaly": N,
            "Edema": N,
            "Pneumonia": N,
            "Pleural Effusion": N,
            "Pneumothorax": N,
            "Lung Lesion": N,
            "Fracture": N,
            "No Finding": P,
        },
    ),
    (
        "doubt on all sides",
        "Possible small left effusion. Questionable nodule at the right base. Pneumothorax is not "
        "excluded. Heart size is borderline enlarged.",
        {"Pleural Effusion": U, "Lung Lesion": U, "Pneumothorax": U, "Cardiomegaly": U},
    ),
    (
        "lungs of smokers",
        "Hyperinflated lungs with flattened diaphragms. No focal opacity.",
        {"Lung Opacity": N},
    ),
    (
        "contradiction resolved in favour of the finding",
        "No definite pneumothorax. On the lateral view a small pneumothorax is present.",
        {"Pneumothorax": P},
    ),
]


@pytest.mark.parametrize(("text", "labels"), [pytest.param(t, x, id=n) for n, t, x in REPORTS])
def test_a_whole_report_is_read(text: str, labels: Labels) -> None:
    assert label_report(text) == labels


def test_these_labels_belong_to_this_revision() -> None:
    assert REVISION == 1


@pytest.mark.parametrize(("text", "labels"), [pytest.param(t, x, id=n) for n, t, x in REPORTS])
def test_a_normal_sentence_more_changes_no_finding(text: str, labels: Labels) -> None:
    """A further sentence about the bones must leave every observation but No Finding alone."""
    more = label_report(f"{text}. The visualized bones are intact.")
    assert {k: v for k, v in more.items() if k != "No Finding"} == {
        k: v for k, v in labels.items() if k != "No Finding"
    }


@pytest.mark.parametrize(
    "name", ["cardiomegaly", "edema", "consolidation", "pneumonia", "atelectasis", "pneumothorax"]
)
def test_a_negation_flips_each_plain_statement(name: str) -> None:
    (observation,) = label_report(f"There is {name}.")
    assert label_report(f"There is {name}.") == {observation: P}
    assert label_report(f"There is no {name}.") == {observation: N, "No Finding": P}
    assert label_report(f"There is possible {name}.") == {observation: U}
    assert label_report(f"{name} has resolved.") == {observation: N, "No Finding": P}
    assert label_report(f"{name} cannot be excluded.") == {observation: U}
