"""Reports that are missing, empty, endless or hostile: the study goes on as far as it can."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import SourceError
from sources.catalog import get_source
from sources.openi_reports import LARGEST_REPORT_BYTES
from tests.damage.kinds import AGAIN, Kind
from tests.damage.test_rows import rejections
from tests.damage.worlds import Trees, put_openi_reports, put_rows, xml_report
from tests.mimic_tree import ANNOTATIONS, STUDY, MimicTree

MIB = 1 << 20
SECRET = "Jane Doe"
PLACE = f"files/p10/p10000001/s{STUDY}.txt"
TEXTS: dict[str, tuple[bytes, tuple[str, str] | None]] = {
    "an empty report": (b"", ("report-empty", "the report file has no text")),
    "a blank report": (b" \n\t\n", ("report-empty", "the report file has no text")),
    "a Latin-1 report": (
        f"FINDINGS: {SECRET} cl".encode() + b"\xe9ar",
        ("report-not-utf8", "byte 21 is not UTF-8"),
    ),
    "a report of zeros": (b"\0" * 100, None),
    "a report of headers alone": (b"FINDINGS:\nIMPRESSION:\n", None),
    "a report of 5 MB": (b" FINDINGS: " + b"Clear lungs. " * (5 * MIB // 13), None),
    "a report of 5 MB of headers": (b"FINDINGS: a\n" * (5 * MIB // 12), None),
    "a report of 5 MB without a space": (b"x" * (5 * MIB), None),
    "a report of 5 MB of underscores": (b"_" * (5 * MIB), None),
    "a report of 5 MB of capitals": (b"A" * (5 * MIB), None),
    "a report of 5 MB of blank lines": (b"\n \n" * (5 * MIB // 3), ("report-empty",
                                        "the report file has no text")),
    "a report of 17 MB": (
        b"x" * (17 * MIB),
        ("report-unreadable", f"{17 * MIB} bytes at {PLACE}; at most {16 * MIB}"),
    ),
}  # fmt: skip
PARSED = "report-unreadable"
DOCTYPE = "a document type declaration; expected XML without one"
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(
        f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">'.encode().replace(b"&lol0;", b"&lol;")
        for n in range(1, 10)
    )
    + b"]><eCitation><uId id='CXR9'/><AbstractText Label='FINDINGS'>&lol9;</AbstractText>"
    b"</eCitation>"
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b"<eCitation><uId id='CXR9'/><AbstractText Label='FINDINGS'>&f;</AbstractText></eCitation>"
)
XML: dict[str, tuple[bytes, tuple[str, str]]] = {
    "a bomb of entities": (LAUGHS, (PARSED, DOCTYPE)),
    "an entity that names a file": (OUTSIDE, (PARSED, DOCTYPE)),
    "a document type elsewhere": (
        b'<!DOCTYPE r SYSTEM "http://example.org/r.dtd"><eCitation/>', (PARSED, DOCTYPE),
    ),
    "an unknown entity": (
        b"<eCitation>&nbsp;</eCitation>", (PARSED, "not well-formed XML at line 1, column 11"),
    ),
    "cut XML": (
        xml_report(9)[:120], (PARSED, "not well-formed XML at line 1, column 114"),
    ),
    "an empty XML file": (b"", (PARSED, "not well-formed XML at line 1, column 0")),
    "XML in Shift-JIS": (
        b'<?xml version="1.0" encoding="shift-jis"?><a/>',
        (PARSED, "multi-byte encodings are not supported"),
    ),
    "XML in no encoding": (
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        (PARSED, "XML in an encoding that nothing knows"),
    ),
    "XML of 5 MB": (
        b"<eCitation>" + b"x" * (5 * MIB),
        (PARSED, f"more than {LARGEST_REPORT_BYTES} bytes"),
    ),
    "XML that is HTML": (
        b"<html><body>Jane Doe<br></body></html>",
        (PARSED, "not well-formed XML at line 1, column 26"),
    ),
    "XML without an id": (b"<eCitation/>", ("id-missing", "no uId in the report")),
}  # fmt: skip
WHOLE = (
    f"found no JSON array of entries in {{path}}{{where}}; expected the annotation file as "
    f"PhysioNet publishes it; {AGAIN}"
)
KINDS = (
    *(
        Kind(name, "mimic_cxr", f"{why[0]}: {why[1]}" if why else "nothing: it is kept as it is")
        for name, (_, why) in TEXTS.items()
    ),
    Kind("no report at all", "mimic_cxr", "nothing: the study is kept without text"),
    Kind("a folder or pipe for a report", "mimic_cxr", "report-unreadable: a pipe or device at "
         "PATH"),
    Kind("a report that is a link out of the root", "mimic_cxr",
         "report-unreadable: a link leads outside the root: PATH"),
    *(Kind(name, "openi", f"{why[0]}: {why[1]}") for name, (_, why) in XML.items()),
    Kind("two reports with one id", "openi",
         "duplicate-id: another report has this uId; the first one is kept"),
    Kind("annotations that are no JSON, cut, or no array", "mimic_cxr",
         WHOLE.format(path="PATH", where=" (entry N, byte M)")),
    Kind("labels of CheXpert Plus that are no JSON Lines", "chexpert",
         "found text in PATH that is not JSON Lines; expected one object per line with "
         "path_to_image and the 14 observations as numbers; unpack chexbert_labels.zip again"),
    Kind("annotated findings that are no text", "mimic_cxr",
         "findings-not-text: the findings of the annotation are no text"),
    Kind("an annotation with a strange id", "mimic_cxr", "id-unknown: the id is not subject_study"),
    Kind("an annotation by a strange method", "mimic_cxr",
         "method-unknown: generate_method is neither gpt4 nor rule-based"),
    Kind("an annotation without an image", "mimic_cxr", "nothing: its text is taken"),
    Kind("an annotated study that is not there", "mimic_cxr",
         "study-unknown: the annotated study is not among the studies read"),
)  # fmt: skip


@pytest.mark.timeout(120)  # the rules must not crawl through a long report
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_report_file(name: str, tmp_path: Path) -> None:
    data, why = TEXTS[name]
    root = MimicTree(tmp_path, reports={}).write()
    (root / PLACE).parent.mkdir(parents=True)
    (root / PLACE).write_bytes(data)
    found = get_source("mimic_cxr").read(root)
    assert list(rejections(found)) == ([("text", STUDY, *why)] if why else [])
    row = next(row for row in found.studies.to_pylist() if row["study_id"] == STUDY)
    assert row["raw_report"] == (None if why else data.decode())
    assert (found.studies.num_rows, found.images_in) == (2, 3)


def test_no_report_at_all(tmp_path: Path) -> None:
    found = get_source("mimic_cxr").read(MimicTree(tmp_path, reports={}).write())
    assert [row["raw_report"] for row in found.studies.to_pylist()] == [None, None]
    assert not rejections(found)


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        (Path.mkdir, f"no file at {PLACE}"),
        (os.mkfifo, f"a pipe or device at {PLACE}"),
        (lambda path: path.symlink_to("/etc/hostname"), f"a link leads outside the root: {PLACE}"),
        (lambda path: path.symlink_to("/dev/zero"), f"a link leads outside the root: {PLACE}"),
    ],
    ids=["folder", "pipe", "link to a file", "link to a device"],
)
def test_something_else_for_a_report(
    make: Callable[[Path], object], detail: str, tmp_path: Path
) -> None:
    root = MimicTree(tmp_path, reports={}).write()
    (root / PLACE).parent.mkdir(parents=True)
    make(root / PLACE)
    found = get_source("mimic_cxr").read(root)
    assert list(rejections(found)) == [("text", STUDY, "report-unreadable", detail)]


@pytest.mark.parametrize("unpacked", [False, True], ids=["archive", "folder"])
@pytest.mark.parametrize("name", sorted(XML))
def test_a_report_in_xml(name: str, unpacked: bool, trees: Trees, tmp_path: Path) -> None:
    data, (reason, detail) = XML[name]
    root = trees.fresh("openi", tmp_path)
    reports = [*(xml_report(number) for number in (2, 3, 4)), data]
    if unpacked:
        (root / "ecgen-radiology").mkdir()
        for number, report in enumerate(reports, 1):
            (root / "ecgen-radiology" / f"{number}.xml").write_bytes(report)
        if not data:
            reason, detail = "report-unreadable", "0 bytes at ecgen-radiology/4.xml"
        elif len(data) > LARGEST_REPORT_BYTES:
            detail = f"{len(data)} bytes at ecgen-radiology/4.xml; at most {LARGEST_REPORT_BYTES}"
    else:
        put_openi_reports(root, reports)
    found = get_source("openi").read(root)
    assert list(rejections(found)) == [("study", "4.xml", reason, detail)]
    assert found.studies.equals(trees.reading("openi").studies)
    assert found.studies_in == 4


def test_two_reports_with_one_id(trees: Trees, tmp_path: Path) -> None:
    root = trees.fresh("openi", tmp_path)
    put_openi_reports(root, [xml_report(number) for number in (2, 3, 4, 4)])
    found = get_source("openi").read(root)
    detail = "another report has this uId; the first one is kept"
    assert rejections(found) == Counter(
        [
            ("study", "CXR4", "duplicate-id", detail),
            ("image", "CXR4_IM-0001-1001", "duplicate-id", detail),
        ]
    )


def entry(**changes: Any) -> dict[str, Any]:
    """One sound annotation of the test split's study, changed; None leaves a key out."""
    whole = {
        "id": "10000002_50000002",
        "image": "mimic/p10/p10000002/s50000002/bb-01.jpg",
        "generate_method": "gpt4",
        "reason": "Cough.",
        "impression": None,
        "indication": None,
        "history": None,
        "conversations": [
            {"from": "human", "value": "<image>\nDescribe."},
            {"from": "gpt", "value": "The lungs are clear."},
        ],
    }
    return {key: value for key, value in (whole | changes).items() if value != "left out"}


WRONG_ENTRIES: dict[str, tuple[dict[str, Any], tuple[str, str, str] | None]] = {
    "findings that are a number": (
        {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": 7}]},
        ("10000002_50000002", "findings-not-text", "the findings of the annotation are no text"),
    ),
    "a conversation that is no list": (
        {"conversations": "none"},
        ("10000002_50000002", "findings-not-text", "the findings of the annotation are no text"),
    ),
    "a strange id": (
        {"id": "fifty"}, ("fifty", "id-unknown", "the id is not subject_study"),
    ),
    "a strange method": (
        {"generate_method": "guess"},
        ("10000002_50000002", "method-unknown",
         "generate_method is neither gpt4 nor rule-based"),
    ),
    "a study that is not there": (
        {"id": "10000002_59999999"},
        ("59999999", "study-unknown", "the annotated study is not among the studies read"),
    ),
    "no image": ({"image": "left out"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG_ENTRIES))
def test_an_annotation(name: str, tmp_path: Path) -> None:
    changes, rejected = WRONG_ENTRIES[name]
    found = get_source("mimic_cxr").read(
        MimicTree(tmp_path, annotations={"test": [entry(**changes)]}).write()
    )
    assert [row[1:] for row in rejections(found)] == ([rejected] if rejected else [])
    row = next(row for row in found.studies.to_pylist() if row["study_id"] == "50000002")
    texts = ["The lungs are clear."] if rejected is None else []
    assert [text["findings"] for text in row["texts"]] == texts


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"[{]", b'[{"id": "1_2", ', b"\xff\xfe[", b"not JSON", b"\x1f\x8b\x08\0"],
    ids=["empty", "no entry", "object", "syntax", "cut", "bytes", "text", "packed"],
)
def test_annotations_that_are_no_json(data: bytes, tmp_path: Path) -> None:
    root = MimicTree(tmp_path, annotations={"test": data}).write()
    path = root / ANNOTATIONS / "chat_test_MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
    with pytest.raises(SourceError) as caught:
        get_source("mimic_cxr").read(root)
    line = str(caught.value)
    head, _, tail = WHOLE.partition("{where}")
    assert line.startswith(head.format(path=path)) and line.endswith(tail)


def test_annotations_below_a_folder_with_brackets(tmp_path: Path) -> None:
    tree = MimicTree(tmp_path / "data [1]*?", annotations={"test": [entry()]})
    tree.root.mkdir()
    found = get_source("mimic_cxr").read(tree.write())
    texts = [text["findings"] for row in found.studies.to_pylist() for text in row["texts"]]
    assert "The lungs are clear." in texts


PLUS = (
    "path_to_image", "frontal_lateral", "ap_pa", "report", "section_clinical_history",
    "section_history", "section_comparison", "section_technique", "section_findings",
    "section_impression", "age", "sex",
)  # fmt: skip


@pytest.mark.parametrize("label", [b"[]", b'{"path_to_image": 5}', b"nonsense", b"", b"\xff\xfe"])
def test_chexpert_plus_labels_that_are_no_json_lines(label: bytes, tmp_path: Path) -> None:
    image = "train/patient1/study1/view1_frontal.jpg"
    cells = [image, "Frontal", "PA", "Clear.", *[""] * 6, "50", "Female"]
    put_rows(tmp_path / "df_chexpert_plus_240401.csv", [PLUS, cells])
    path = tmp_path / "chexbert_labels" / "report_fixed.json"
    path.parent.mkdir()
    path.write_bytes(label)
    with pytest.raises(SourceError) as caught:
        get_source("chexpert").read(tmp_path)
    assert str(caught.value) == (
        f"found text in {path} that is not JSON Lines; expected one object per line with "
        "path_to_image and the 14 observations as numbers; unpack chexbert_labels.zip again"
    )


def test_nothing_of_a_report_gets_into_a_detail(tmp_path: Path) -> None:
    data = TEXTS["a Latin-1 report"][0]
    assert SECRET.encode() in data
    found = get_source("mimic_cxr").read(MimicTree(tmp_path, reports={STUDY: data}).write())
    assert SECRET not in json.dumps(found.rejected.to_pylist())
