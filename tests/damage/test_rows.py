"""Single bad rows: that row is rejected with its reason, and nothing else changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sources.catalog import get_source
from sources.record import Level, Reading
from tests.damage.kinds import Kind
from tests.damage.worlds import TABLES, Trees, put_rows, read_rows, write_manifest

MIB = 1 << 20
Row = dict[str, str]
LEFT = "every image was rejected and there is no report"


@dataclass(frozen=True)
class BadCell:
    """One cell of the manifest's first data row, and how its rejection reads.

    Args:
        study: whether the whole study is rejected with the reason; otherwise the image alone, and
            its study for ``no-image-left``.
    """

    name: str
    column: str
    value: str
    reason: str
    detail: str
    study: bool = False


def _value(name: str, column: str, value: str, expected: str) -> BadCell:
    detail = f"row 1, column '{column}': expected {expected}"
    return BadCell(name, column, value, "value-unknown", detail, study=True)


YEARS = "years from 0 to 120"
OUTSIDE = "an absolute path or one with '..'; expected one relative to manifest.csv"
GONE = "no such file below the root"
CELLS = (
    _value("an unknown split", "split", "trian", "train, validate or test"),
    _value("a negative age", "age", "-4", YEARS),
    _value("an absurd age", "age", "999", YEARS),
    _value("an age that is no number", "age", "forty", YEARS),
    _value("an age with 60 digits", "age", "9" * 60, YEARS),
    _value("an impossible date", "date", "2019-02-30", "YYYY-MM-DD"),
    _value("a date in another order", "date", "31/12/2019", "YYYY-MM-DD"),
    _value("an unknown sex", "sex", "banana", "F, M, O or unknown"),
    _value("an unknown label value", "Edema", "2", "1, 0, -1 or blank"),
    _value("report text in a label column", "Edema", "Jane Doe has edema", "1, 0, -1 or blank"),
    BadCell(
        "an unknown view",
        "view",
        "Jane Doe",
        "view-unknown",
        "row 1, column 'view': expected PA, AP, LATERAL, UNKNOWN or blank",
    ),
    BadCell("'..' in a path", "image_path", "../../secret.png", "path-outside-root", OUTSIDE),
    BadCell("an absolute path", "image_path", "/etc/passwd", "path-outside-root", OUTSIDE),
    BadCell("a file that is not there", "image_path", "images/gone.png", "file-missing", GONE),
    BadCell("a path of 300 characters", "image_path", "x" * 300 + ".png", "file-missing", GONE),
    BadCell("a path of 10 MB", "image_path", "x" * (10 * MIB), "file-missing", GONE),
    BadCell("a path with a line break", "image_path", "a\nb.png", "file-missing", GONE),
    BadCell("no path", "image_path", " ", "path-missing", "row 1: no image_path"),
)


@dataclass(frozen=True)
class BadRow:
    """A change of a publisher's first data row, and the rejections it must lead to."""

    name: str
    source: str
    table: str
    cells: Row
    rejected: Callable[[Row], list[tuple[str, str, str, str]]]
    kind: str


def _study(
    key: Callable[[Row], tuple[str, str]], reason: str, detail: str
) -> Callable[..., object]:
    """The study and its one image."""
    return lambda row: [
        ("study", key(row)[0], reason, detail),
        ("image", key(row)[1], reason, detail),
    ]


def _image(
    key: Callable[[Row], tuple[str, str]], reason: str, detail: str
) -> Callable[..., object]:
    """The image, and its study for want of another."""
    return lambda row: [
        ("study", key(row)[0], "no-image-left", LEFT),
        ("image", key(row)[1], reason, detail),
    ]


def _nih(row: Row) -> tuple[str, str]:
    return row["Image Index"].removesuffix(".png"), row["Image Index"]


def _object(row: Row) -> tuple[str, str]:
    name = (row.get("image_name") or row.get("image_path") or "").rpartition("/")[2]
    return f"train/{name.removesuffix('.jpg')}", f"train/{name}"


OBJECT = "train.csv"
NIH = TABLES["nih_cxr14"]
ROWS = (
    BadRow(
        "an unknown view", "nih_cxr14", NIH, {"View Position": "LL"},
        _image(_nih, "view-unknown", "View Position 'LL'; expected PA or AP"),
        "view-unknown: View Position 'LL'; expected PA or AP",
    ),
    BadRow(
        "report text where a code belongs", "nih_cxr14", NIH,
        {"View Position": "Jane Doe, 54, has a cough"},
        _image(_nih, "view-unknown", "View Position text; expected PA or AP"),
        "view-unknown: View Position text; expected PA or AP",
    ),
    BadRow(
        "an unknown label", "nih_cxr14", NIH, {"Finding Labels": "Mass|Cough"},
        _study(_nih, "label-name-unknown", "Finding Labels has a name that is not one of NIH's 15"),
        "label-name-unknown: Finding Labels has a name that is not one of NIH's 15",
    ),
    BadRow(
        "an id of 60 digits", "nih_cxr14", NIH, {"Patient ID": "9" * 60}, lambda row: [],
        "nothing: identifiers are text",
    ),
    BadRow(
        "no subject", "nih_cxr14", NIH, {"Patient ID": ""},
        _image(_nih, "id-missing", "row 1 lacks Image Index or Patient ID"),
        "id-missing: row 1 lacks Image Index or Patient ID",
    ),
    BadRow(
        "an unknown kind of object", "object_cxr", OBJECT, {"annotation": "7 1 2 3 4"},
        _image(_object, "annotation-unreadable", "an object of unknown type; expected 0, 1 or 2"),
        "annotation-unreadable: an object of unknown type; expected 0, 1 or 2",
    ),
    BadRow(
        "a coordinate of 60 digits", "object_cxr", OBJECT, {"annotation": "0 1 2 3 " + "9" * 60},
        _image(_object, "annotation-unreadable", "an object with a coordinate that is no integer"),
        "annotation-unreadable: an object with a coordinate that is no integer",
    ),
    BadRow(
        "an object without a size", "object_cxr", OBJECT, {"annotation": "0 5 5 5 5"},
        _image(_object, "annotation-unreadable", "an object without a size"),
        "annotation-unreadable: an object without a size",
    ),
)  # fmt: skip
KINDS = (
    *(Kind(cell.name, "manifest", f"{cell.reason}: {cell.detail}") for cell in CELLS),
    *(Kind(row.name, row.source, row.kind) for row in ROWS),
    Kind("an image listed twice", "manifest",
         "duplicate-id: listed again in row N; the first row is kept"),
    Kind("one study of two subjects", "manifest",
         "subject-conflict: 2 subjects over its images; expected one"),
    Kind("one study in two splits", "manifest",
         "split-conflict: 2 splits over its images; expected one"),
    Kind("a misspelt column", "manifest",
         "found column 'finding' in PATH; expected 'findings', or a name that resembles no column "
         "of a manifest; rename the column; see 'Your own data' in docs/sources.md"),
    Kind("a split that is not one of three", "mimic_cxr",
         "split-unknown: split 'dev'; expected train, validate or test"),
    Kind("votes beyond all numbers", "vindr_cxr",
         "label-value-unknown: a vote that is neither 0 nor 1"),
    Kind("a table joined to itself", "chexpert",
         "duplicate-id for each row; path-unknown for the second header"),
)  # fmt: skip


def rejections(reading: Reading) -> Counter[tuple[str, str, str, str]]:
    """Rejected rows as (level, row id, reason, detail)."""
    columns = [
        reading.rejected[name].to_pylist() for name in ("level", "row_id", "reason", "detail")
    ]
    return Counter(zip(*columns, strict=True))


def require_unharmed(found: Reading, sound: Reading, lost: set[str], touched: set[str]) -> None:
    """All other studies are as they were."""
    before = {row["study_id"]: row for row in sound.studies.to_pylist()}
    after = {row["study_id"]: row for row in found.studies.to_pylist()}
    assert before.keys() - after.keys() == lost
    for study_id in before.keys() - lost - touched:
        assert after[study_id] == before[study_id]


def hospital(root: Path) -> Path:
    """Five studies of one image each, with every column that a cell can spoil."""
    files = {f"images/{number}.png": b"\x89PNG" for number in range(5)}
    blank = [""] * 5
    write_manifest(root, files, split=blank, age=blank, sex=blank, date=blank, Edema=blank)
    return root


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_bad_cell_of_a_manifest(cell: BadCell, tmp_path: Path) -> None:
    root = hospital(tmp_path / "own")
    source = get_source("manifest")
    sound = source.read(root)
    rows = read_rows(root / "manifest.csv")
    rows[1][rows[0].index(cell.column)] = cell.value
    put_rows(root / "manifest.csv", rows)
    found = source.read(root)
    image = rows[1][0] if cell.reason != "path-missing" else "row 1"
    why = (cell.reason, cell.detail) if cell.study else ("no-image-left", LEFT)
    assert rejections(found) == Counter(
        [("study", "S000", *why), ("image", image, cell.reason, cell.detail)]
    )
    require_unharmed(found, sound, {"S000"}, set())
    assert (found.studies_in, found.images_in) == (5, 5)


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: f"{bad.source}-{bad.name}")
def test_a_bad_row_of_a_publisher(bad: BadRow, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(bad.source, tmp_path)
    source, sound = get_source(bad.source), trees.reading(bad.source)
    path = root / bad.table
    head = path.read_bytes().split(b"\n")[0]
    rows = read_rows(path)
    names = rows[0]
    for column, value in bad.cells.items():
        rows[1][names.index(column)] = value
    put_rows(path, rows)
    if bad.source == "nih_cxr14":  # its header has commas inside two names
        path.write_bytes(head + b"\n" + path.read_bytes().split(b"\n", 1)[1])
    found = source.read(root)
    expected = bad.rejected(dict(zip(names, rows[1], strict=False)))
    assert rejections(found) - rejections(sound) == Counter(expected)
    first = _nih(dict(zip(names, rows[1], strict=False)))[0] if bad.source == "nih_cxr14" else ""
    lost = {row_id for level, row_id, _, _ in expected if level == Level.STUDY}
    require_unharmed(found, sound, lost, {first})
    assert found.images_in == sound.images_in


def _spoilt_manifest(root: Path, change: Callable[[list[list[str]]], None]) -> Reading:
    rows = read_rows(hospital(root) / "manifest.csv")
    change(rows)
    put_rows(root / "manifest.csv", rows)
    return get_source("manifest").read(root)


def test_an_image_listed_twice(tmp_path: Path) -> None:
    found = _spoilt_manifest(tmp_path, lambda rows: rows.append(rows[1]))
    assert rejections(found) == Counter(
        [("image", "images/0.png", "duplicate-id", "listed again in row 6; the first row is kept")]
    )
    assert (found.studies_in, found.images_in, found.studies.num_rows) == (5, 6, 5)


def test_one_study_of_two_subjects(tmp_path: Path) -> None:
    def join(rows: list[list[str]]) -> None:
        rows[2][1] = rows[1][1]

    detail = "2 subjects over its images; expected one"
    assert rejections(_spoilt_manifest(tmp_path, join)) == Counter(
        [
            ("study", "S000", "subject-conflict", detail),
            ("image", "images/0.png", "subject-conflict", detail),
            ("image", "images/1.png", "subject-conflict", detail),
        ]
    )


def test_one_study_in_two_splits(tmp_path: Path) -> None:
    def join(rows: list[list[str]]) -> None:
        rows[2][1:3] = rows[1][1:3]
        rows[1][4], rows[2][4] = "train", "test"

    detail = "2 splits over its images; expected one"
    assert rejections(_spoilt_manifest(tmp_path, join)) == Counter(
        [
            ("study", "S000", "split-conflict", detail),
            ("image", "images/0.png", "split-conflict", detail),
            ("image", "images/1.png", "split-conflict", detail),
        ]
    )


def test_a_misspelt_column(tmp_path: Path) -> None:
    from infra.errors import SourceError

    def misspell(rows: list[list[str]]) -> None:
        rows[0].append("finding")
        for row in rows[1:]:
            row.append("The heart of Jane Doe is large.")

    with pytest.raises(SourceError) as caught:
        _spoilt_manifest(tmp_path, misspell)
    assert str(caught.value) == (
        f"found column 'finding' in {tmp_path}/manifest.csv; expected 'findings', or a name that "
        "resembles no column of a manifest; rename the column; see 'Your own data' in "
        "docs/sources.md"
    )


def test_a_split_that_is_not_one_of_three(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("mimic_cxr", tmp_path)
    path = root / "mimic-cxr-2.0.0-split.csv.gz"
    rows = read_rows(path)
    study = rows[1][rows[0].index("study_id")]
    place = rows[0].index("split")
    for row in rows[1:]:
        if row[rows[0].index("study_id")] == study:
            row[place] = "dev"
    put_rows(path, rows)
    found, sound = get_source("mimic_cxr").read(root), trees.reading("mimic_cxr")
    new = rejections(found) - rejections(sound)
    assert {(reason, detail) for _, _, reason, detail in new} == {
        ("split-unknown", "split 'dev'; expected train, validate or test")
    }
    assert [row_id for level, row_id, _, _ in new if level == Level.STUDY] == [study]
    require_unharmed(found, sound, {study}, set())


def test_votes_beyond_all_numbers(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("vindr_cxr", tmp_path)
    path = root / TABLES["vindr_cxr"]
    rows = read_rows(path)
    rows[1][5] = "9" * 60
    put_rows(path, rows)
    found, sound = get_source("vindr_cxr").read(root), trees.reading("vindr_cxr")
    new = rejections(found) - rejections(sound)
    assert {reason for _, _, reason, _ in new} == {"label-value-unknown"}
    require_unharmed(found, sound, {rows[1][0]}, set())


def test_a_table_joined_to_itself(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("chexpert", tmp_path)
    path = root / TABLES["chexpert"]
    data = path.read_bytes()
    path.write_bytes(data + data)
    found, sound = get_source("chexpert").read(root), trees.reading("chexpert")
    new = rejections(found) - rejections(sound)
    listed = data.count(b"\n") - 1
    reasons = Counter(reason for _, _, reason, _ in new.elements())
    assert reasons == {"duplicate-id": listed, "path-unknown": 1}
    assert found.studies.equals(sound.studies)
    assert found.images_in == sound.images_in + listed + 1
