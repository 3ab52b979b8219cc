"""rule14: what each phrase means, one sentence at a time."""

from __future__ import annotations

import pytest

from evaluation.labeler import label_report, label_reports
from sources.record import OBSERVATIONS, LabelValue

P, N, U = LabelValue.POSITIVE, LabelValue.NEGATIVE, LabelValue.UNCERTAIN


def value(text: str, observation: str) -> LabelValue:
    return label_report(text).get(observation, LabelValue.UNMENTIONED)


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("The mediastinum is widened.", "Enlarged Cardiomediastinum"),
        ("Widening of the superior mediastinum.", "Enlarged Cardiomediastinum"),
        ("There is mild cardiomegaly.", "Cardiomegaly"),
        ("Enlarged cardiac silhouette.", "Cardiomegaly"),
        ("The heart is moderately enlarged.", "Cardiomegaly"),
        ("Cardiac silhouette size remains enlarged.", "Cardiomegaly"),
        ("Hazy opacity in the right lower lobe.", "Lung Opacity"),
        ("Left basilar airspace disease.", "Lung Opacity"),
        ("Infiltration in the left base.", "Lung Opacity"),
        ("Increased interstitial markings bilaterally.", "Lung Opacity"),
        ("The bronchovascular markings are prominent.", "Lung Opacity"),
        ("A 9 mm nodule in the right upper lobe.", "Lung Lesion"),
        ("Large mass in the left mid lung.", "Lung Lesion"),
        ("Pulmonary edema.", "Edema"),
        ("Mild pulmonary vascular congestion.", "Edema"),
        ("Findings of congestive heart failure.", "Edema"),
        ("Consolidative change at the right base.", "Consolidation"),
        ("Findings consistent with pneumonia.", "Pneumonia"),
        ("An infectious process in the lingula.", "Pneumonia"),
        ("Bibasilar atelectatic change.", "Atelectasis"),
        ("Collapse of the left lower lobe.", "Atelectasis"),
        ("Small apical pneumothorax on the left.", "Pneumothorax"),
        ("Bilateral pleural effusions, right greater than left.", "Pleural Effusion"),
        ("Layering pleural fluid.", "Pleural Effusion"),
        ("Pleural_Thickening", "Pleural Other"),
        ("Biapical pleural scarring.", "Pleural Other"),
        ("Healing fracture of the left sixth rib.", "Fracture"),
        ("Right PICC ends in the SVC.", "Support Devices"),
        ("Median sternotomy wires are intact.", "Support Devices"),
        ("A dual chamber pacemaker is seen.", "Support Devices"),
    ],
)
def test_a_plain_term_is_positive(text: str, observation: str) -> None:
    assert value(text, observation) is P


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("No pneumothorax.", "Pneumothorax"),
        ("There is no evidence of pleural effusion.", "Pleural Effusion"),
        ("Without focal consolidation.", "Consolidation"),
        ("The lungs are free of infiltrate.", "Lung Opacity"),
        ("Negative for pneumothorax.", "Pneumothorax"),
        ("No findings suspicious for pneumonia.", "Pneumonia"),
        ("No radiographic findings to suggest edema.", "Edema"),
        ("The previously seen effusion has resolved.", "Pleural Effusion"),
        ("Resolved left effusion.", "Pleural Effusion"),
        ("The pneumothorax is no longer seen.", "Pneumothorax"),
        ("A pneumothorax is not identified.", "Pneumothorax"),
        ("The chest tube has been removed.", "Support Devices"),
        ("Interval removal of the endotracheal tube.", "Support Devices"),
        ("Pneumonia is unlikely.", "Pneumonia"),
        ("Heart size is normal.", "Cardiomegaly"),
        ("The heart is not enlarged.", "Cardiomegaly"),
        ("Normal heart size and mediastinal contours.", "Enlarged Cardiomediastinum"),
        ("Cardiomediastinal silhouette is within normal limits.", "Enlarged Cardiomediastinum"),
        ("Heart size and pulmonary vascular congestion appear within limits of normal.", "Edema"),
        ("The lungs are clear.", "Lung Opacity"),
        ("There is no focal opacity to suggest a pneumonia.", "Pneumonia"),
        ("No consolidation, suspicious opacity, or definite effusion.", "Pleural Effusion"),
        ("No consolidation, suspicious opacity, or definite effusion.", "Lung Opacity"),
        ("The known mass lesion is not seen.", "Lung Lesion"),
        ("Heart size is at the upper limits of normal.", "Cardiomegaly"),
    ],
)
def test_a_denial_is_negative(text: str, observation: str) -> None:
    assert value(text, observation) is N


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("Possible pneumonia.", "Pneumonia"),
        ("Pneumonia cannot be excluded.", "Pneumonia"),
        ("Cannot exclude a small pneumothorax.", "Pneumothorax"),
        ("Opacity may represent atelectasis.", "Atelectasis"),
        ("Opacity which may be due to atelectasis.", "Atelectasis"),
        ("Density concerning for mass.", "Lung Lesion"),
        ("Atelectasis versus infiltrate at the left base.", "Atelectasis"),
        ("Atelectasis versus infiltrate at the left base.", "Lung Opacity"),
        ("Pleural effusion is questionable.", "Pleural Effusion"),
        ("Heart size is borderline.", "Cardiomegaly"),
        ("Borderline heart size.", "Cardiomegaly"),
        ("No pneumothorax, cannot exclude a small effusion.", "Pleural Effusion"),
        ("In the appropriate clinical setting, pneumonia.", "Pneumonia"),
    ],
)
def test_a_doubt_is_uncertain(text: str, observation: str) -> None:
    assert value(text, observation) is U


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("The heart is stable.", "Cardiomegaly"),
        ("Pericardial effusion.", "Pleural Effusion"),
        ("Changes of prior granulomatous infection.", "Pneumonia"),
        ("Nipple shadows at both bases.", "Lung Lesion"),
        ("Sclerotic lesion of the humerus.", "Lung Lesion"),
        ("History of pneumonia.", "Pneumonia"),
        ("Evaluation for pneumothorax is limited.", "Pneumothorax"),
        ("CT is more sensitive in detecting small nodules.", "Lung Lesion"),
        ("Soft tissue edema of the left arm.", "Edema"),
        ("Collapsed vertebra at T8.", "Atelectasis"),
        ("The mediastinum is stable; the aorta is prominent.", "Enlarged Cardiomediastinum"),
    ],
)
def test_what_is_no_mention_stays_unmentioned(text: str, observation: str) -> None:
    assert value(text, observation) is LabelValue.UNMENTIONED


def test_a_negation_reaches_through_a_list() -> None:
    labels = label_report("No focal consolidation, pneumothorax, or large pleural effusion.")
    assert labels == {
        "Consolidation": N,
        "Pneumothorax": N,
        "Pleural Effusion": N,
        "No Finding": P,
    }


def test_a_doubt_reaches_both_of_two_alternatives() -> None:
    labels = label_report("Findings may reflect atelectasis or pneumonia.")
    assert labels == {"Atelectasis": U, "Pneumonia": U}


@pytest.mark.parametrize(
    "text",
    [
        "No pneumothorax, small left effusion.",
        "No pneumothorax and small left effusion.",
        "No pneumothorax but left effusion.",
        "No pneumothorax; left effusion.",
        "No pneumothorax is seen, and the left effusion is unchanged.",
        "There is a left effusion and pneumothorax is not seen.",
        "No pneumothorax with a left effusion.",
        "Left effusion without pneumothorax.",
        "Effusion on the left. No pneumothorax.",
    ],
)
def test_a_negation_ends_where_something_is_asserted(text: str) -> None:
    assert label_report(text) == {"Pneumothorax": N, "Pleural Effusion": P}


@pytest.mark.parametrize(
    "text",
    [
        "No change in the left pleural effusion.",
        "Left pleural effusion without significant interval change.",
        "The effusion has not changed.",
        "Effusion is not well seen.",
    ],
)
def test_a_negation_that_denies_nothing_is_passed_over(text: str) -> None:
    assert value(text, "Pleural Effusion") is P


def test_effusion_and_pneumothorax_in_one_word() -> None:
    assert label_report("Left hydropneumothorax.") == {"Pneumothorax": P, "Pleural Effusion": P}


def test_heart_failure_raises_doubt_of_a_large_heart() -> None:
    assert label_report("Mild CHF.") == {"Edema": P, "Cardiomegaly": U}
    assert label_report("No CHF.") == {"Edema": N, "No Finding": P}
    assert label_report("CHF. Enlarged heart.") == {"Edema": P, "Cardiomegaly": P}


def test_positive_beats_uncertain_beats_negative_over_a_report() -> None:
    assert value("No effusion. Possible effusion.", "Pleural Effusion") is U
    assert value("Possible effusion. Small effusion. No effusion.", "Pleural Effusion") is P


@pytest.mark.parametrize(
    "text",
    [
        "No acute cardiopulmonary process.",
        "Normal chest.",
        "The heart is normal in size. The lungs are clear.",
        "Endotracheal tube in place.",
        "No pneumothorax. Right chest port.",
    ],
)
def test_no_finding_where_nothing_else_is_found(text: str) -> None:
    assert label_report(text)["No Finding"] is P


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the the the and and",
        "Degenerative changes of the spine.",
        "Small effusion.",
        "Possible nodule.",
        "Lungs are clear. There is emphysema.",
        "Heart size normal. Moderate hiatal hernia.",
    ],
)
def test_no_finding_is_absent_where_something_or_nothing_is_said(text: str) -> None:
    assert "No Finding" not in label_report(text)


def test_a_denied_other_abnormality_leaves_no_finding() -> None:
    assert label_report("No emphysema. Lungs are clear.")["No Finding"] is P


def test_only_mentioned_observations_appear_and_all_are_known() -> None:
    labels = label_report("Small effusion. No pneumothorax.")
    assert set(labels) <= set(OBSERVATIONS)
    assert LabelValue.UNMENTIONED not in labels.values()


def test_line_breaks_inside_a_term_do_not_matter() -> None:
    assert value("Small left pleural\n  effusion.", "Pleural Effusion") is P


def test_many_reports_are_labelled_in_order() -> None:
    texts = ["Small effusion.", "No effusion.", "Small effusion."]
    assert label_reports(texts) == [label_report(text) for text in texts]


@pytest.mark.parametrize(
    ("name", "observation"),
    [
        ("Atelectasis", "Atelectasis"),
        ("Cardiomegaly", "Cardiomegaly"),
        ("Consolidation", "Consolidation"),
        ("Edema", "Edema"),
        ("Effusion", "Pleural Effusion"),
        ("Infiltration", "Lung Opacity"),
        ("Mass", "Lung Lesion"),
        ("Nodule", "Lung Lesion"),
        ("Pleural_Thickening", "Pleural Other"),
        ("Pneumonia", "Pneumonia"),
        ("Pneumothorax", "Pneumothorax"),
    ],
)
@pytest.mark.parametrize("frame", ["There is {}.", "{} is present.", "Findings: {}."])
def test_nih_names_read_as_their_counterparts(name: str, observation: str, frame: str) -> None:
    assert label_report(frame.format(name)) == {observation: P}


@pytest.mark.parametrize("name", ["Emphysema", "Fibrosis", "Hernia"])
def test_nih_names_without_a_counterpart_are_no_normal_chest(name: str) -> None:
    assert label_report(f"There is {name.lower()}.") == {}
