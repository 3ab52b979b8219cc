"""Open-I: reports out of the archive, images as far as they are there, damage, and real reports."""

from __future__ import annotations

import gzip
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.errors import SourceError
from sources.openi import VIEWS, read
from sources.openi_reports import COUNTERPARTS
from sources.record import OBSERVATIONS
from sources.replicas.files import DicomStyle, encode_dicom
from sources.split import hash_split

IMAGE = "CXR9_IM-0001-1001"


def report(
    number: str = "CXR9",
    images: tuple[str, ...] = (IMAGE,),
    terms: tuple[str, ...] = ("Opacity/lung/base/left",),
    **sections: str,
) -> bytes:
    """One XML file of an invented report."""
    texts = {
        "COMPARISON": "None.",
        "INDICATION": "XXXX-year-old with\n cough.",
        "FINDINGS": "Clear &amp; dry lungs.",
        "IMPRESSION": "Normal chest x-XXXX.",
    } | sections
    abstract = "".join(
        f'<AbstractText Label="{label}">{text}</AbstractText>' for label, text in texts.items()
    )
    majors = "".join(f"<major>{term}</major>" for term in terms)
    parents = "".join(f'<parentImage id="{image}"/>' for image in images)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="{number}"/>'
        f"<Abstract>{abstract}</Abstract><MeSH>{majors}<automatic>cough</automatic></MeSH>"
        f"{parents}</eCitation>"
    ).encode()


def write(root: Path, *reports: bytes, images: tuple[str, ...] = (IMAGE,)) -> Path:
    """The archive with the reports, by default one, and an empty PNG of each image name."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as archive:
        for number, data in enumerate(reports or (report(),), 1):
            member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
    (root / "NLMCXR_png").mkdir(exist_ok=True)
    for name in images:
        (root / "NLMCXR_png" / f"{name}.png").touch()
    return root


def rows_of(root: Path) -> list[dict[str, Any]]:
    reading = read(root)
    assert reading.rejected.to_pylist() == []
    rows: list[dict[str, Any]] = reading.studies.to_pylist()
    return rows


def rejected(root: Path) -> list[tuple[str, str, str | None, str, str]]:
    keys = ("level", "row_id", "study_id", "reason", "detail")
    return [tuple(row[key] for key in keys) for row in read(root).rejected.to_pylist()]


def test_a_study(tmp_path: Path) -> None:
    [row] = rows_of(write(tmp_path))
    assert (row["study_id"], row["subject_id"], row["split"]) == ("CXR9", None, hash_split("CXR9"))
    [text] = row["texts"]
    assert text == {
        "origin": "radiologist",
        "sectioned_by": "publisher",
        "language": "en",
        "indication": "XXXX-year-old with cough.",
        "technique": None,
        "comparison": "None.",
        "findings": "Clear & dry lungs.",
        "impression": "Normal chest x-XXXX.",
    }
    assert row["raw_report"] == (
        "COMPARISON: None.\nINDICATION: XXXX-year-old with cough.\nFINDINGS: Clear & dry lungs.\n"
        "IMPRESSION: Normal chest x-XXXX."
    )
    assert row["labels"] == [{"observation": "Lung Opacity", "value": "positive"}]
    assert [label["name"] for label in row["source_labels"]] == ["Opacity/lung/base/left"]
    [image] = row["images"]
    assert (image["uri"], image["view"]) == (f"NLMCXR_png/{IMAGE}.png", "UNKNOWN")


def test_unpacked_reports_read_the_same(tmp_path: Path) -> None:
    packed = rows_of(write(tmp_path))
    (tmp_path / "NLMCXR_reports.tgz").unlink()
    (tmp_path / "ecgen-radiology").mkdir()
    (tmp_path / "ecgen-radiology" / "9.xml").write_bytes(report())
    assert rows_of(tmp_path) == packed


def test_empty_sections_are_none(tmp_path: Path) -> None:
    [row] = rows_of(write(tmp_path, report(FINDINGS="", IMPRESSION=" \n ")))
    assert (row["texts"][0]["findings"], row["texts"][0]["impression"]) == (None, None)
    assert row["raw_report"] == "COMPARISON: None.\nINDICATION: XXXX-year-old with cough."


def test_a_report_without_any_text(tmp_path: Path) -> None:
    empty = dict.fromkeys(("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION"), "")
    [row] = rows_of(write(tmp_path, report(**empty)))
    assert (row["texts"], row["raw_report"]) == ([], None)


def test_a_report_without_images(tmp_path: Path) -> None:
    reading = read(write(tmp_path, report(images=())))
    assert (reading.studies_in, reading.images_in, reading.studies.num_rows) == (1, 0, 1)


@pytest.mark.parametrize(
    ("terms", "labels"),
    [
        (("normal",), ["No Finding"]),
        (("No Indexing",), []),
        (("Opacity/retrocardiac",), []),
        (("Nodulex",), []),
        (("Pneumonia", "Pneumonia/lower lobe", "Mass/lung/right"), ["Lung Lesion", "Pneumonia"]),
        (("Thickening/pleura/apex",), ["Pleural Other"]),
    ],
)
def test_mesh_terms(tmp_path: Path, terms: tuple[str, ...], labels: list[str]) -> None:
    [row] = rows_of(write(tmp_path, report(terms=terms)))
    assert [label["observation"] for label in row["labels"]] == labels
    kept = [term for term in terms if term != "No Indexing"]
    assert [label["name"] for label in row["source_labels"]] == kept


def test_the_mapping_names_observations() -> None:
    assert set(COUNTERPARTS.values()) <= set(OBSERVATIONS)


def test_the_first_reports_images_go_by_another_name(tmp_path: Path) -> None:
    listed = "CXR1_1_IM-0001-3001"
    [row] = rows_of(write(tmp_path, report(images=(listed,)), images=("CXR1_IM-0001-3001",)))
    assert row["images"][0]["image_id"] == listed
    assert row["images"][0]["uri"] == "NLMCXR_png/CXR1_IM-0001-3001.png"


def write_dicom(root: Path, name: str, position: str) -> None:
    path = root / "NLMCXR_dcm" / "9" / f"{name}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    style = DicomStyle(tags={"ViewPosition": position})
    path.write_bytes(encode_dicom(np.zeros((4, 4), np.float32), style))


@pytest.mark.parametrize(
    ("position", "view"),
    [("PA", "PA"), ("AP", "AP"), ("LL", "LATERAL"), ("LARGE LATERAL", "LATERAL"), ("", "UNKNOWN")],
)
def test_the_view_comes_from_the_dicom_file(tmp_path: Path, position: str, view: str) -> None:
    write_dicom(write(tmp_path), IMAGE, position)
    [row] = rows_of(tmp_path)
    assert row["images"][0]["view"] == view
    assert row["images"][0]["uri"].endswith(".png")


def test_the_dicom_file_stands_in_for_a_missing_png(tmp_path: Path) -> None:
    write_dicom(write(tmp_path, images=()), IMAGE, "PA")
    [row] = rows_of(tmp_path)
    assert row["images"][0]["uri"] == f"NLMCXR_dcm/9/{IMAGE}.dcm"


def test_an_unreadable_dicom_file_tells_no_view(tmp_path: Path) -> None:
    write_dicom(write(tmp_path), IMAGE, "PA")
    (tmp_path / "NLMCXR_dcm" / "9" / f"{IMAGE}.dcm").write_bytes(b"\0" * 200)
    assert rows_of(tmp_path)[0]["images"][0]["view"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("projection", "view"), [("Frontal", "PA"), ("Lateral", "LATERAL"), ("Odd", "UNKNOWN")]
)
def test_the_view_comes_from_the_kaggle_table(tmp_path: Path, projection: str, view: str) -> None:
    write(tmp_path)
    (tmp_path / "indiana_projections.csv").write_text(
        f"uid,filename,projection\n9,9_IM-0001-1001.dcm.png,{projection}\n"
    )
    assert rows_of(tmp_path)[0]["images"][0]["view"] == view


def test_frontal_positions_are_pa_and_ap_alone() -> None:
    frontal = {position for position, view in VIEWS.items() if view.is_frontal}
    assert frontal == {"PA", "AP", "Frontal"}


def test_an_image_that_is_not_here_leaves_the_text(tmp_path: Path) -> None:
    write(tmp_path, images=())
    assert rejected(tmp_path) == [
        ("image", IMAGE, "CXR9", "file-missing", "no such file in NLMCXR_png or NLMCXR_dcm")
    ]
    [row] = read(tmp_path).studies.to_pylist()
    assert (row["images"], row["texts"][0]["findings"]) == ([], "Clear & dry lungs.")


def test_a_report_that_comes_twice(tmp_path: Path) -> None:
    write(tmp_path, report(), report(FINDINGS="Another."))
    detail = "another report has this uId; the first one is kept"
    assert rejected(tmp_path) == [
        ("study", "CXR9", "CXR9", "duplicate-id", detail),
        ("image", IMAGE, "CXR9", "duplicate-id", detail),
    ]
    assert read(tmp_path).images_in == 2


def test_an_image_of_two_reports(tmp_path: Path) -> None:
    write(tmp_path, report(), report("CXR8"))
    assert rejected(tmp_path) == [
        ("image", IMAGE, "CXR8", "duplicate-id", "an earlier report lists this image too")
    ]


def test_a_report_that_is_no_xml(tmp_path: Path) -> None:
    write(tmp_path, report(), b"<eCitation><uId id='CXR7'/>\nsecret words")
    assert rejected(tmp_path) == [
        (
            "study",
            "2.xml",
            None,
            "report-unreadable",
            "not well-formed XML at line 2, column 12",
        )
    ]


def test_a_report_that_is_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, report().replace(b"Clear", b"Cl\xe9ar"))
    [row] = rejected(tmp_path)
    assert row[:4] == ("study", "1.xml", None, "report-unreadable")
    assert row[4] == "not well-formed XML at line 2, column 55"


def test_a_report_without_an_id(tmp_path: Path) -> None:
    write(tmp_path, report(number=" "))
    assert rejected(tmp_path) == [("study", "1.xml", None, "id-missing", "no uId in the report")]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[:-20], "EOFError"),
        (lambda data: data[: len(data) // 2], "EOFError"),
        (lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "BadGzipFile"),
        (lambda data: b"not an archive", "BadGzipFile"),
        (lambda data: gzip.compress(b"not an archive"), "ReadError"),
        (lambda data: b"", "ReadError"),
    ],
    ids=["cut at the end", "cut", "checksum", "no gzip", "no tar", "empty"],
)
def test_a_broken_archive(tmp_path: Path, damage: Any, error: str) -> None:
    path = write(tmp_path, *(report(f"CXR{n}") for n in range(60))) / "NLMCXR_reports.tgz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found a broken archive at {path} ({error}); expected the reports of Open-I as a whole "
        "gzip-compressed tar; download NLMCXR_reports.tgz again"
    )


def test_an_archive_without_reports(tmp_path: Path) -> None:
    path = write(tmp_path) / "NLMCXR_reports.tgz"
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(SourceError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"found no .xml member in {path}; expected the reports of Open-I; "
        "download NLMCXR_reports.tgz again"
    )


@pytest.mark.public_data
def test_the_real_reports(public_data: Path) -> None:
    reading = read(public_data / "openi")
    rows = reading.studies.to_pylist()
    assert (reading.studies_in, len(rows), reading.images_in) == (3955, 3955, 7470)
    texts = [row["texts"][0] for row in rows if row["texts"]]
    assert sum(text["findings"] is not None for text in texts) == 3425
    assert sum(text["impression"] is not None for text in texts) == 3921
    assert sum("XXXX" in (row["raw_report"] or "") for row in rows) > 3000
    normal = [
        row for row in rows if {"observation": "No Finding", "value": "positive"} in row["labels"]
    ]
    assert len(normal) == 1391
    on_disk = len(list((public_data / "openi" / "NLMCXR_png").glob("*.png")))
    assert sum(len(row["images"]) for row in rows) == on_disk
    assert set(reading.rejected.column("reason").to_pylist()) == {"file-missing"}
