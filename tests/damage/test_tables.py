"""Tables that are none, or not the publisher's: one exact line, for each source with tables."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.errors import SourceError
from sources.catalog import get_source
from tests.damage.kinds import AGAIN, Kind
from tests.damage.worlds import TABLES, Trees, put_rows, put_table, read_rows, table_bytes

MIB = 1 << 20
WEB_PAGE = b"<!DOCTYPE html>\n<html><body>Please log in, Jane Doe</body></html>\n"


@dataclass(frozen=True)
class Fault:
    """Something done to a table's file, and the error's line with ``{path}``."""

    name: str
    spoil: Callable[[Path], None]
    line: str


def _rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: put_table(path, change(table_bytes(path)))


def _replace_by(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _second_line(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        head, second, *rest = table_bytes(path).split(b"\n", 2)
        put_table(path, b"\n".join([head, change(second), *rest]))

    return spoil


FAULTS = (
    Fault(
        "no bytes",
        lambda path: path.write_bytes(b"") and None,
        f"found an empty file at {{path}}; expected a header and rows; {AGAIN}",
    ),
    Fault(
        "a header without rows",
        _rewrite(lambda data: data.split(b"\n")[0] + b"\n"),
        f"found no rows below the header of {{path}}; expected at least one row; {AGAIN}",
    ),
    Fault(
        "semicolons for commas",
        _rewrite(lambda data: data.replace(b",", b";")),
        "found a header separated by semicolons in {path}; expected one separated by commas; "
        "download the file again, or save it with the publisher's delimiter",
    ),
    Fault(
        "Latin-1 text",
        _rewrite(lambda data: b"Se\xf1or," + data),
        "found bytes that are not UTF-8 at offset 2 of {path}; expected UTF-8 text; download the "
        "file again, or convert it to UTF-8",
    ),
    Fault(
        "UTF-16 text",
        _rewrite(lambda data: data.decode().encode("utf-16")),
        "found UTF-16 text in {path}; expected UTF-8 text; convert it to UTF-8",
    ),
    Fault(
        "zero bytes",
        _rewrite(lambda data: data[:40] + b"\0" + data[41:]),
        f"found a zero byte at offset 40 of {{path}}; expected text; {AGAIN}",
    ),
    Fault(
        "a web page under the table's name",
        _rewrite(lambda data: WEB_PAGE),
        "found a web page in {path}; expected a table; log in to the publisher's site and "
        "download again",
    ),
    Fault(
        "a zip or workbook under the table's name",
        _rewrite(lambda data: b"PK\x03\x04" + data),
        "found a zip archive (or an Excel workbook) in {path}; expected plain text; unpack it "
        "under this name",
    ),
    Fault(
        "packed once too often",
        _rewrite(gzip.compress),
        "found gzip data in {path}; expected plain text; unpack it under this name",
    ),
    Fault(
        "a quote that is never closed",
        _second_line(lambda line: b'"' + line),
        f"found a quote that never ends on line 2 of {{path}}; expected paired quotes; {AGAIN}",
    ),
    Fault(
        "an endless line",
        _rewrite(lambda data: data + b"x" * (17 * MIB)),
        f"found a line of over 16 MiB at offset {{size}} of {{path}}; expected lines of text; "
        f"{AGAIN}",
    ),
    Fault(
        "a header of megabytes",
        _rewrite(lambda data: b"x" * (2 * MIB) + data),
        f"found no header on line 1 of {{path}}; expected the names of the columns; {AGAIN}",
    ),
    Fault(
        "a folder in the table's place",
        _replace_by(Path.mkdir),
        f"found a folder at {{path}}; expected the publisher's file; {AGAIN}",
    ),
    Fault(
        "a pipe in the table's place",
        _replace_by(os.mkfifo),
        "found a pipe or device at {path}; expected the publisher's file; put the file in its "
        "place",
    ),
)
KINDS = (
    *(Kind(fault.name, "every table", fault.line) for fault in FAULTS),
    Kind(
        "a row with too few cells",
        "every table",
        f"found N cells on line 2 of PATH; expected M as in the header; {AGAIN}",
    ),
    Kind(
        "a row with too many cells",
        "every table",
        f"found N cells on line 2 of PATH; expected M as in the header; {AGAIN}",
    ),
    Kind(
        "a missing or renamed column",
        "every table",
        "found no column 'NAME' in PATH; expected the columns NAMES; check that this is the "
        "publisher's file and release",
    ),
    Kind(
        "broken or cut gzip data",
        "every packed table",
        f"found broken gzip data in PATH (EOFError); expected a whole gzip file; {AGAIN}",
    ),
    Kind(
        "plain text under a .gz name",
        "every packed table",
        "found data that is not gzip in PATH; expected a gzip file, as its name says; download "
        "the file again without unpacking it, or pack it with gzip",
    ),
    Kind(
        "no such table",
        "all sources",
        "found nothing that matches NAMES under ROOT; expected the files of TITLE; check that the "
        "path is its root; see 'cxr sources NAME'",
    ),
    Kind(
        "a table that may not be read",
        "every table",
        "found PATH, which cannot be read (Permission denied); expected a readable file; check "
        "its permissions and the disk",
    ),
    Kind(
        "a link that leads nowhere for an optional table",
        "all sources",
        "found a link that leads nowhere at PATH; expected the publisher's file; fetch what it "
        "names",
    ),
    Kind("a byte-order mark", "every table", "nothing: it is skipped"),
    Kind("line ends of Windows or of old Macs", "every table", "nothing: they are understood"),
    Kind("further columns", "every table", "nothing: they are not read"),
    Kind("a line break inside quotes", "every table", "nothing: it belongs to its cell"),
)


def refusal(name: str, root: Path) -> str:
    """The one line that the source gives."""
    with pytest.raises(SourceError) as caught:
        get_source(name).read(root)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 700
    assert "Jane Doe" not in line, "a cell or a page is never quoted"
    return line


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_table_that_is_none(name: str, fault: Fault, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    path = root / TABLES[name]
    size = len(table_bytes(path))
    fault.spoil(path)
    assert refusal(name, root) == fault.line.format(path=path, size=size)


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("change", [-1, 1])
def test_a_row_of_another_length(name: str, change: int, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    path = root / TABLES[name]
    rows = read_rows(path)
    width = len(rows[1])
    rows[1] = rows[1][:-1] if change < 0 else rows[1] + ["x"] * change
    header = path.read_bytes() if path.suffix != ".gz" else b""
    put_rows(path, rows)
    if name == "nih_cxr14":  # its header has commas inside two names
        put_table(path, header.split(b"\n")[0] + b"\n" + table_bytes(path).split(b"\n", 1)[1])
    assert refusal(name, root) == (
        f"found {width + change} cells on line 2 of {path}; expected {width} as in the header; "
        f"{AGAIN}"
    )


REQUIRED = {
    "brax": "PatientID",
    "candid_ptx": "StudyInstanceUID",
    "chexpert": "AP/PA",
    "manifest": "study_id",
    "medical_diff_vqa": "question_type",
    "mimic_cxr": "ViewPosition",
    "nih_cxr14": "Patient ID",
    "object_cxr": "annotation",
    "openi": "projection",
    "padchest": "Projection",
    "vindr_cxr": "rad_id",
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_renamed_column(name: str, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    path = root / TABLES[name]
    head, _, rest = table_bytes(path).partition(b"\n")
    put_table(path, head.replace(REQUIRED[name].encode(), b"Other", 1) + b"\n" + rest)
    line = refusal(name, root)
    assert line.startswith(f"found no column '{REQUIRED[name]}' in {path}; expected the columns ")
    assert line.endswith("; check that this is the publisher's file and release")


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"openi"}))
def test_a_missing_table(name: str, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    for path in root.rglob("*"):
        if path.is_file() and path.suffix in (".csv", ".gz"):
            path.unlink()
    line = refusal(name, root)
    card = get_source(name).card
    assert line.startswith("found nothing that matches ")
    assert line.endswith(
        f" under {root}; expected the files of {card.title}; check that the path is its root; "
        f"see 'cxr sources {name}'"
    )


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_cut_gzip_table(kept: float, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("mimic_cxr", tmp_path)
    path = root / TABLES["mimic_cxr"]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert refusal("mimic_cxr", root) == (
        f"found broken gzip data in {path} (EOFError); expected a whole gzip file; {AGAIN}"
    )


def test_a_plain_table_under_a_packed_name(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("mimic_cxr", tmp_path)
    path = root / TABLES["mimic_cxr"]
    path.write_bytes(table_bytes(path))
    assert refusal("mimic_cxr", root) == (
        f"found data that is not gzip in {path}; expected a gzip file, as its name says; download "
        "the file again without unpacking it, or pack it with gzip"
    )


OPTIONAL = {
    "candid_ptx": "chest_tube.csv",
    "mimic_cxr": "mimic-cxr-2.0.0-chexpert.csv.gz",
    "nih_cxr14": "BBox_List_2017.csv",
    "openi": "indiana_projections.csv",
}


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_optional_table_that_was_not_fetched(name: str, trees: Trees, tmp_path: Path) -> None:
    """Trees of git-annex and DVC hold links until a file is fetched: labels must not vanish."""
    root = trees.fresh(name, tmp_path)
    path = root / OPTIONAL[name]
    path.unlink()
    path.symlink_to(tmp_path / "not-fetched")
    assert refusal(name, root) == (
        f"found a link that leads nowhere at {path}; expected the publisher's file; fetch what it "
        "names"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for a moment")
@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_that_may_not_be_read(name: str, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    path = root / TABLES[name]
    path.chmod(0)
    for folder in (*root.parents, *(item for item in (root, *root.rglob("*")) if item.is_dir())):
        if folder.owner() == "root":
            folder.chmod(folder.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        line = refusal(name, root)
    finally:
        os.seteuid(0)
    assert line == (
        f"found {path}, which cannot be read (Permission denied); expected a readable file; check "
        "its permissions and the disk"
    )


def _with_break(data: bytes) -> bytes:
    """One more column, whose cells have a line break inside quotes."""
    lines = data.split(b"\n")
    return b"\n".join(
        [lines[0] + b",more", *(line + b',"a\nb"' if line else b"" for line in lines[1:])]
    )


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "a byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "old Mac line ends": lambda data: data.replace(b"\n", b"\r"),
    "a line break inside quotes": _with_break,
}


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"manifest"}))
@pytest.mark.parametrize("harmless", sorted(HARMLESS))
def test_what_does_no_harm(name: str, harmless: str, trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh(name, tmp_path)
    path = root / TABLES[name]
    put_table(path, HARMLESS[harmless](table_bytes(path).removeprefix(b"\xef\xbb\xbf")))
    found, sound = get_source(name).read(root), trees.reading(name)
    assert found.studies.equals(sound.studies)
    assert found.rejected.equals(sound.rejected)
