"""Small sound trees of all sources with tables, to be damaged: replicas, and two by hand."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tarfile
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sources.catalog import get_source
from sources.record import Reading
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=16, seed=3, side_px=144)
TABLES = {
    "brax": "master_spreadsheet_update.csv",
    "candid_ptx": "Pneumothorax_reports.csv",
    "chexpert": "CheXpert-v1.0-small/train.csv",
    "manifest": "manifest.csv",
    "medical_diff_vqa": "mimic_pair_questions.csv",
    "mimic_cxr": "mimic-cxr-2.0.0-metadata.csv.gz",
    "nih_cxr14": "Data_Entry_2017_v2020.csv",
    "object_cxr": "train.csv",
    "openi": "indiana_projections.csv",
    "padchest": "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
    "vindr_cxr": "annotations/image_labels_train.csv",
}
"""The main table of each source, under its root; Open-I's only one."""


class Trees:
    """Sound trees, each written once; ``fresh`` copies one to be damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sound(self, name: str) -> Path:
        root = self._folder / name
        if not root.exists():
            root.mkdir()
            write = BY_HAND.get(name) or _replica(name)
            write(root)
        return root

    def fresh(self, name: str, target: Path) -> Path:
        root = target / name
        shutil.copytree(self.sound(name), root)
        return root

    @cache  # noqa: B019  # one object for the whole session
    def reading(self, name: str) -> Reading:
        """What the source makes of the sound tree."""
        return get_source(name).read(self.sound(name))


def _replica(name: str) -> Callable[[Path], None]:
    write = get_source(name).write_replica
    assert write is not None
    return lambda root: write(root, SPEC)


def film(seed: int = 0, width: int = 160, height: int = 200) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture that is no constant: a slope with noise, uint8 [height, width]."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(40, 200, width)[None, :] + np.linspace(-30, 30, height)[:, None]
    return np.asarray(np.clip(slope + rng.normal(0, 6, (height, width)), 0, 255), dtype=np.uint8)


def picture(seed: int = 0, kind: str = "PNG") -> bytes:
    """A film as a PNG or JPEG file."""
    buffer = BytesIO()
    Image.fromarray(film(seed)).save(buffer, kind)
    return buffer.getvalue()


def table_bytes(path: Path) -> bytes:
    """A table's text, unpacked."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def put_table(path: Path, data: bytes) -> None:
    """The text in the table's place, packed where its name says so."""
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def read_rows(path: Path) -> list[list[str]]:
    """Header and rows."""
    return list(csv.reader(io.StringIO(table_bytes(path).decode("utf-8-sig"), newline="")))


def put_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    put_table(path, buffer.getvalue().encode())


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def write_nih(root: Path) -> None:
    """Four films of three invented persons, with both split lists and a box."""
    names = ["00000001_000.png", "00000001_001.png", "00000002_000.png", "00000003_000.png"]
    labels = ["Cardiomegaly|Hernia", "No Finding", "Mass", "Effusion"]
    rows = [
        f"{name},{label},0,{int(name[:8])},50,F,PA,2500,2048,0.143,0.143"
        for name, label in zip(names, labels, strict=True)
    ]
    (root / TABLES["nih_cxr14"]).write_text("\n".join([NIH_HEADER, *rows]) + "\n")
    (root / "train_val_list.txt").write_text("\n".join(names[:3]) + "\n")
    (root / "test_list.txt").write_text(names[3] + "\n")
    boxes = f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{names[2]},Mass,10,20,30,40\n"
    (root / "BBox_List_2017.csv").write_text(boxes)
    (root / "images").mkdir()
    for seed, name in enumerate(names):
        (root / "images" / name).write_bytes(picture(seed))


def xml_report(number: int) -> bytes:
    """An invented report of Open-I with one frontal film."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<eCitation><uId id="CXR{number}"/><Abstract>'
        '<AbstractText Label="INDICATION">Cough.</AbstractText>'
        '<AbstractText Label="FINDINGS">The heart is normal in size.</AbstractText>'
        '<AbstractText Label="IMPRESSION">Normal chest.</AbstractText>'
        "</Abstract><MeSH><major>normal</major></MeSH>"
        f'<parentImage id="CXR{number}_IM-0001-1001"/></eCitation>'
    ).encode()


def put_openi_reports(root: Path, reports: Sequence[bytes]) -> None:
    """The archive with these report files, 1.xml and so on."""
    with tarfile.open(root / "NLMCXR_reports.tgz", "w:gz") as archive:
        for number, data in enumerate(reports, 1):
            member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
            member.size = len(data)
            archive.addfile(member, BytesIO(data))


def write_openi(root: Path) -> None:
    """Three invented reports with a film each, and the table of their views."""
    numbers = (2, 3, 4)
    put_openi_reports(root, [xml_report(number) for number in numbers])
    (root / "NLMCXR_png").mkdir()
    rows = [["uid", "filename", "projection"]]
    for number in numbers:
        name = f"CXR{number}_IM-0001-1001"
        (root / "NLMCXR_png" / f"{name}.png").write_bytes(picture(number))
        rows.append([str(number), f"{number}_IM-0001-1001.dcm.png", "Frontal"])
    put_rows(root / TABLES["openi"], rows)


def write_manifest(root: Path, files: dict[str, bytes], **columns: Sequence[str]) -> None:
    """A hospital's folder: one study per file, with further columns where they are given."""
    header = ["image_path", "study_id", "subject_id", "view", *columns]
    rows = [header]
    for number, (name, data) in enumerate(files.items()):
        cells = [values[number] for values in columns.values()]
        rows.append([name, f"S{number:03d}", f"P{number:03d}", "PA", *cells])
        if data is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
    put_rows(root / TABLES["manifest"], rows)


BY_HAND: dict[str, Callable[[Path], None]] = {"nih_cxr14": write_nih, "openi": write_openi}
