"""Where rule14 reads its findings, and what it reads in the replicas' own language."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.labeler import OTHER, find_mentions, label_report, squeeze
from sources.record import LabelValue
from sources.replicas.truth import ReplicaSpec, draw_cohort
from sources.replicas.wording import write_report

VOCABULARY = (
    "no small left pleural effusion pneumothorax heart is enlarged . , or and without possible "
    "opacity may represent atelectasis ; but the lungs are clear normal PICC \n İ nodule - 1."
)
WORDS = VOCABULARY.split(" ")


def test_mentions_have_their_place_in_the_squeezed_text() -> None:
    text = "Heart is mildly enlarged.  No\npleural   effusion. Possible Nodule."
    squeezed = squeeze(text)
    found = [(m.observation, m.value.value, squeezed[m.start : m.end]) for m in find_mentions(text)]
    assert found == [
        ("Cardiomegaly", "positive", "Heart is mildly enlarged"),
        ("Pleural Effusion", "negative", "effusion"),
        ("Lung Lesion", "uncertain", "Nodule"),
    ]


def test_abnormalities_outside_the_fourteen_are_mentions_too() -> None:
    assert [m.observation for m in find_mentions("Severe emphysema.")] == [OTHER]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_labels_are_the_strongest_of_the_mentions(text: str) -> None:
    rank = [LabelValue.NEGATIVE, LabelValue.UNCERTAIN, LabelValue.POSITIVE]
    strongest: dict[str, int] = {}
    for mention in find_mentions(text):
        assert 0 <= mention.start < mention.end <= len(squeeze(text))
        level = rank.index(mention.value)
        strongest[mention.observation] = max(level, strongest.get(mention.observation, 0))
    labels = {name: rank.index(v) for name, v in label_report(text).items() if name != "No Finding"}
    assert labels == {name: level for name, level in strongest.items() if name != OTHER}


def test_case_does_not_matter() -> None:
    text = "Small left Pleural Effusion. No Pneumothorax."
    assert label_report(text.upper()) == label_report(text.lower()) == label_report(text)


def test_replicas_reports_are_read_as_they_were_meant() -> None:
    truths = draw_cohort(ReplicaSpec(1500, seed=11), "labeler-test", studies_per_subject=2.0)
    agreed = total = 0
    for truth in truths:
        wording = write_report(truth, compare=True, doubt=0.2)
        meant = {
            name: value
            for name, value in wording.labels(truth).items()
            if value is not LabelValue.UNMENTIONED
        }
        read = label_report(wording.findings)
        names = set(meant) | set(read)
        agreed += sum(meant.get(name) == read.get(name) for name in names)
        total += len(names)
    assert total > 5000
    assert agreed / total >= 0.995
