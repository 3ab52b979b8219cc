"""The LLaVA-Rad annotations: two versions per study, and the traps of a file that is no JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.errors import SourceError
from sources.mimic_cxr import read
from sources.mimic_cxr_annotations import read_annotations
from tests.mimic_tree import ANNOTATIONS, REPORT, STUDY, MimicTree

NAN = float("nan")


def entry(
    findings: Any, method: str = "gpt4", study: str = STUDY, image: str = "aa-01", **cells: Any
) -> dict[str, Any]:
    return {
        "id": f"10000001_{study}",
        "image": f"mimic/p10/p10000001/s{study}/{image}.jpg",
        "generate_method": method,
        "reason": "A cough\nfor ___ days.",
        "impression": None,
        "indication": None,
        "history": None,
        "view": NAN,
        "orientation": "Erect",
        "chexpert_labels": {"Atelectasis": NAN, "Edema": 1.0},
        "conversations": [
            {"from": "human", "value": "<image>\nDescribe."},
            {"from": "gpt", "value": findings},
        ],
    } | cells


def texts_of(tree: MimicTree, study: str = STUDY) -> list[dict[str, Any]]:
    rows = {row["study_id"]: row for row in read(tree.write()).studies.to_pylist()}
    found: list[dict[str, Any]] = rows[study]["texts"]
    return found


def reasons(tree: MimicTree) -> list[tuple[str, str | None, str, str]]:
    return [
        (row["row_id"], row["study_id"], row["reason"], row["detail"])
        for row in read(tree.write()).rejected.to_pylist()
    ]


def test_both_versions_replace_our_own(tmp_path: Path) -> None:
    entries = [entry("By GPT-4."), entry("By\nrules.", "rule-based", impression="Fine.")]
    texts = texts_of(MimicTree(tmp_path, annotations={"train": entries}))
    same = {
        "origin": "radiologist",
        "language": "en",
        "indication": "A cough for ___ days.",
        "technique": None,
        "comparison": None,
    }
    assert texts == [
        {**same, "sectioned_by": "rules", "findings": "By rules.", "impression": "Fine."},
        {**same, "sectioned_by": "llm", "findings": "By GPT-4.", "impression": None},
    ]


def test_the_raw_report_stays(tmp_path: Path) -> None:
    root = MimicTree(tmp_path, annotations={"train": [entry("By GPT-4.")]}).write()
    assert read(root).studies.to_pylist()[0]["raw_report"] == REPORT


def test_an_annotated_split_has_no_other_texts(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path, annotations={"train": [entry("Of another.", study="50000009")]})
    assert texts_of(tree) == []


def test_a_split_without_file_keeps_our_texts(tmp_path: Path) -> None:
    others = [entry("Of another.", study="50000009")]
    tree = MimicTree(tmp_path, annotations={"dev": others, "test": others})
    assert [text["findings"] for text in texts_of(tree)] == ["Clear lungs."]


def test_files_in_the_root_are_found_too(tmp_path: Path) -> None:
    root = MimicTree(tmp_path, annotations={"train": [entry("In the root.")]}).write()
    for path in (root / ANNOTATIONS).iterdir():
        path.rename(root / path.name)
    annotations = read_annotations(root)
    assert annotations is not None
    assert annotations.splits == {"train"}
    assert annotations.texts.to_pylist()[0][0]["findings"] == "In the root."


def test_no_file_means_no_annotations(tmp_path: Path) -> None:
    assert read_annotations(tmp_path) is None


def test_an_id_that_repeats_once_per_image_gives_one_version(tmp_path: Path) -> None:
    entries = [
        entry("Second.", image="zz"),
        entry("First.", image="aa"),
        entry("Third.", image="bb"),
    ]
    texts = texts_of(MimicTree(tmp_path, annotations={"train": entries}))
    assert [text["findings"] for text in texts] == ["First."]


@pytest.mark.parametrize(
    ("cells", "indication"),
    [
        ({"reason": None, "indication": "Pain."}, "Pain."),
        ({"reason": NAN, "history": "Fall."}, "Fall."),
        ({"reason": " \n", "indication": 7}, None),
        ({"reason": "One.", "indication": "Two."}, "One."),
    ],
)
def test_where_the_indication_comes_from(
    tmp_path: Path, cells: dict[str, Any], indication: str | None
) -> None:
    tree = MimicTree(tmp_path, annotations={"train": [entry("Clear.", **cells)]})
    assert texts_of(tree)[0]["indication"] == indication


@pytest.mark.parametrize("findings", [NAN, None, 3, ["Clear."], "  \n "])
def test_findings_that_are_no_text(tmp_path: Path, findings: Any) -> None:
    tree = MimicTree(
        tmp_path, annotations={"train": [entry(findings), entry("Yes.", "rule-based")]}
    )
    assert [text["findings"] for text in texts_of(tree)] == ["Yes."]
    assert reasons(tree) == [
        (
            f"10000001_{STUDY}",
            STUDY,
            "findings-not-text",
            "the findings of the annotation are no text",
        )
    ]


def test_an_unknown_method(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path, annotations={"train": [entry("Clear.", "gpt5")]})
    assert reasons(tree) == [
        (
            f"10000001_{STUDY}",
            STUDY,
            "method-unknown",
            "generate_method is neither gpt4 nor rule-based",
        )
    ]


def test_an_id_of_another_form(tmp_path: Path) -> None:
    tree = MimicTree(
        tmp_path, annotations={"train": [entry("Clear.", id="s5"), entry("A.", id=None)]}
    )
    detail = "the id is not subject_study"
    assert reasons(tree) == [
        ("s5", None, "id-unknown", detail),
        ("without id", None, "id-unknown", detail),
    ]


def test_a_study_that_is_not_here(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path, annotations={"train": [entry("Clear.", study="59999999")]})
    assert reasons(tree) == [
        (
            "59999999",
            "59999999",
            "study-unknown",
            "the annotated study is not among the studies read",
        )
    ]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'[{"id": "1_2"}, {"id": "1_2", "rea', " (entry 2, byte 18)"),
        (b'[{"id": "1_2", "reason": "\xff"}]', " (entry 2, byte 26)"),
        (b'{"id": "1_2"}', ""),
        (b"id,reason\n1_2,Cough\n", ""),
    ],
    ids=["cut", "not UTF-8", "no array", "a table"],
)
def test_a_damaged_file_stops_the_reading(tmp_path: Path, data: bytes, place: str) -> None:
    root = MimicTree(tmp_path, annotations={"train": data}).write()
    path = root / ANNOTATIONS / "chat_train_MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
    with pytest.raises(SourceError) as caught:
        read(root)
    message = str(caught.value)
    assert message.startswith(f"found no JSON array of entries in {path}")
    assert message.endswith(
        "; expected the annotation file as PhysioNet publishes it; "
        "download the file again and compare its checksum with the publisher's"
    )
    assert "Cough" not in message
    assert ("entry" in message) == bool(place)
