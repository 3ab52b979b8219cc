"""MIMIC-CXR: each kind of damage has its exact line or reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import SourceError
from sources.mimic_cxr import CARD, read
from tests.mimic_tree import STUDY, MimicTree, image_row

METADATA = "mimic-cxr-2.0.0-metadata.csv.gz"
SPLIT = "mimic-cxr-2.0.0-split.csv.gz"
AGAIN = "download the file again and compare its checksum with the publisher's"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def with_semicolons(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b",", b";")))


def without_split_column(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"split", b"part")))


@pytest.mark.parametrize(
    ("name", "damage", "expected"),
    [
        (
            METADATA,
            Path.unlink,
            f"found nothing that matches {METADATA} or cxr-record-list.csv.gz under {{root}}; "
            f"expected the files of {CARD.title}; "
            "check that the path is its root; see 'cxr sources mimic_cxr'",
        ),
        (
            SPLIT,
            Path.unlink,
            f"found no file at {{path}}; expected the publisher's table; {AGAIN}",
        ),
        (
            METADATA,
            cut,
            f"found broken gzip data in {{path}} (EOFError); expected a whole gzip file; {AGAIN}",
        ),
        (
            METADATA,
            with_semicolons,
            "found a header separated by semicolons in {path}; expected one separated by commas; "
            "download the file again, or save it with the publisher's delimiter",
        ),
        (
            SPLIT,
            without_split_column,
            "found no column 'split' in {path}; expected the columns study_id, split; "
            "check that this is the publisher's file and release",
        ),
        (
            "mimic-cxr-reports.zip",
            cut,
            "found a broken zip archive at {path} (File is not a zip file); expected the "
            f"publisher's archive of reports; {AGAIN}",
        ),
    ],
    ids=["no table", "no split", "cut gzip", "delimiter", "column", "cut zip"],
)
def test_a_damaged_file_stops_the_reading(
    tmp_path: Path, name: str, damage: Callable[[Path], None], expected: str
) -> None:
    root = MimicTree(tmp_path).write()
    damage(root / name)
    with pytest.raises(SourceError) as caught:
        read(root)
    assert str(caught.value) == expected.format(path=root / name, root=root)


def rejected(tree: MimicTree) -> list[tuple[str, str, str, str]]:
    """Level, row id, reason and detail of what was rejected; counts are checked by Reading."""
    rows = read(tree.write()).rejected.to_pylist()
    return [(row["level"], row["row_id"], row["reason"], row["detail"]) for row in rows]


def test_an_image_listed_twice(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.metadata is not None
    tree.metadata.append(image_row("aa-01", "10000001", STUDY))
    assert rejected(tree) == [
        ("image", "aa-01", "duplicate-id", "listed again in row 4; the first row is kept")
    ]


def test_an_unknown_view(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.metadata is not None
    tree.metadata[1] = image_row("aa-02", "10000001", STUDY, "SIDEWAYS")
    assert rejected(tree) == [
        (
            "image",
            "aa-02",
            "view-unknown",
            "ViewPosition 'SIDEWAYS' is not one of MIMIC-CXR's values",
        )
    ]


def test_a_study_whose_only_image_is_rejected_stays_as_text(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path, metadata=[image_row("aa-01", "10000001", STUDY, "SIDEWAYS")])
    reading = read(tree.write())
    [row] = reading.studies.to_pylist()
    assert (row["images"], row["texts"][0]["impression"]) == ([], "Normal.")
    assert reading.rejected.column("reason").to_pylist() == ["view-unknown"]


def test_a_row_without_ids(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.metadata is not None
    tree.metadata.append(image_row("", "10000001", STUDY))
    assert rejected(tree) == [
        ("image", "row 4", "id-missing", "row 4 lacks dicom_id, study_id or subject_id")
    ]


def study_and_images(reason: str, detail: str) -> list[tuple[str, str, str, str]]:
    """The first study is rejected, and both its images with it."""
    return [
        ("study", STUDY, reason, detail),
        ("image", "aa-01", reason, detail),
        ("image", "aa-02", reason, detail),
    ]


def test_a_study_of_two_subjects(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.metadata is not None
    tree.metadata[1] = image_row("aa-02", "10000002", STUDY, "LL")
    assert rejected(tree) == study_and_images(
        "subject-conflict", "2 subjects over its images; expected one"
    )


def test_a_study_in_two_splits(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.splits is not None
    tree.splits[1][3] = "test"
    assert rejected(tree) == study_and_images(
        "split-conflict", "2 splits over its images; expected one"
    )


def test_an_unknown_split(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.splits is not None
    tree.splits[0][3] = tree.splits[1][3] = "valid"
    assert rejected(tree) == study_and_images(
        "split-unknown", "split 'valid'; expected train, validate or test"
    )


def test_a_study_that_the_split_table_lacks(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path)
    assert tree.splits is not None
    del tree.splits[:2]
    assert rejected(tree) == study_and_images("split-missing", "not in the split table")


@pytest.mark.parametrize("table", ["labels", "expert"])
def test_an_unknown_label_value(tmp_path: Path, table: str) -> None:
    tree = MimicTree(tmp_path, **{table: {STUDY: {"Edema": "3.0"}}})
    assert rejected(tree) == study_and_images(
        "label-value-unknown",
        "found the number 3.0 in column 'Edema'; expected 1.0, 0.0, -1.0 or blank",
    )


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "report-empty", "the report file has no text"),
        (b" \n \n", "report-empty", "the report file has no text"),
        (" FINDINGS: M\xfcller\n".encode("latin-1"), "report-not-utf8", "byte 12 is not UTF-8"),
    ],
)
def test_a_bad_report_leaves_its_study_without_text(
    tmp_path: Path, data: bytes, reason: str, detail: str
) -> None:
    tree = MimicTree(tmp_path, reports={STUDY: data})
    assert rejected(tree) == [("text", STUDY, reason, detail)]
    [first, _] = read(tree.root).studies.to_pylist()
    assert (first["raw_report"], first["texts"]) == (None, [])


def test_a_flipped_byte_in_one_report_of_the_archive(tmp_path: Path) -> None:
    root = MimicTree(tmp_path).write()
    path = root / "mimic-cxr-reports.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"lungs")] ^= 1
    path.write_bytes(bytes(data))
    reading = read(root)
    assert reading.studies.num_rows == 2
    [row] = reading.rejected.to_pylist()
    member = "files/p10/p10000001/s50000001.txt"
    assert (row["reason"], row["detail"]) == (
        "report-unreadable",
        f"damaged member in mimic-cxr-reports.zip: {member}",
    )
