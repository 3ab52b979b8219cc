"""Writes a synthetic stand-in for MIMIC-CXR-JPG, a part of it in the DICOM release's layout.

    plan (ids, dates, traps) ─▶ words ─▶ films ─▶ files, tables, reports, .truth.jsonl

Traps (source_formats 22.1 and 22.2): blank and rare ViewPosition, AP films under a PA procedure,
times without their zeros, ``Airspace Opacity``, a study without a label row and one with an empty
row, a truncated and a missing JPEG, a study without images, MONOCHROME1; in the reports addenda,
misspelt and lower-case headers, missing, double and merged sections, and no report at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cv2
import numpy as np
from PIL import Image

from sources.mimic_cxr_annotations import FOLDER
from sources.mimic_cxr_reports import ARCHIVE
from sources.record import LabelValue, Split, View
from sources.replicas.files import (
    DicomStyle,
    TransferSyntax,
    draw_many,
    encode_dicom,
    encode_jpeg,
    quantise,
    write_file,
)
from sources.replicas.mimic_cxr_plan import (
    BLANK_LABELS_STUDY,
    UNLABELLED_STUDY,
    PlannedImage,
    PlannedStudy,
    plan_replica,
)
from sources.replicas.mimic_cxr_tables import table_files
from sources.replicas.mimic_cxr_text import annotation_files, report_text, word_study
from sources.replicas.phantom import draw
from sources.replicas.phantom_canvas import Layer
from sources.replicas.traps import truncate
from sources.replicas.truth import ReplicaSpec
from sources.replicas.truth_file import TrueBox, TrueStudy, write_truth
from sources.replicas.wording import Wording

_SYNTAXES: Final = (
    TransferSyntax.EXPLICIT_LITTLE,
    TransferSyntax.JPEG_2000,
    TransferSyntax.JPEG_LOSSLESS,
    TransferSyntax.IMPLICIT_LITTLE,
)
"""Our choice; the publisher's distribution is unknown (source_formats 23)."""
_README: Final = (
    "Synthetic stand-in in the layout of MIMIC-CXR-JPG: drawn phantoms, invented words and ids.\n"
    "Nothing here comes from a person or from the published data.\n"
)


@dataclass(frozen=True)
class _Film:
    """One file's bytes, and its height and width in px."""

    data: bytes
    size: tuple[int, int]


def write(
    root: Path, spec: ReplicaSpec, *, annotations: bool = False, portable_marks: bool = False
) -> None:
    """Write the replica under ``root``.

    Args:
        annotations: also write the LLaVA-Rad annotation files in their folder.
        portable_marks: write AP in a corner of the films that are, as many portable units do; only
            so can a view be told that phantoms hardly differ in.
    """
    studies = plan_replica(spec)
    words = {study.study_id: word_study(study) for study in studies}
    sizes = _copied(root, spec.drawn, studies, portable_marks)
    jobs = [
        (study, image) for study in studies for image in study.images if image.image_id not in sizes
    ]
    draw_one = partial(_film, side_px=spec.side_px, portable_marks=portable_marks)
    films = draw_many(draw_one, jobs, spec.processes)
    for (_, image), film in zip(jobs, films, strict=True):
        sizes[image.image_id] = film.size
        if image.trap != "missing":
            write_file(root / image.path, film.data)
    labels = {study.study_id: words[study.study_id].labels(study.truth) for study in studies}
    for name, data in table_files(studies, labels, sizes).items():
        write_file(root / name, data)
    _write_reports(root, studies, words)
    write_file(root / "README", _README.encode())
    if annotations:
        for name, data in annotation_files(studies).items():
            write_file(root / FOLDER / name, data)
    write_truth(
        root,
        [
            TrueStudy(
                study.study_id, study.truth, _stated(study, labels[study.study_id]), _trap_of(study)
            )
            for study in studies
        ],
    )


def known_boxes(spec: ReplicaSpec, image_ids: Collection[str]) -> dict[str, tuple[TrueBox, ...]]:
    """Where the findings lie on those images of the replica, in px of the written files.

    The publisher gives no boxes, so the replica's files have none either; they follow from the
    truth that the films were drawn from, and are drawn again.
    """
    jobs = [
        (study, image)
        for study in plan_replica(spec)
        for image in study.images
        if image.image_id in image_ids
    ]
    drawn = draw_many(partial(_boxes, side_px=spec.side_px), jobs, spec.processes)
    return {image.image_id: boxes for (_, image), boxes in zip(jobs, drawn, strict=True)}


def _boxes(job: tuple[PlannedStudy, PlannedImage], side_px: int) -> tuple[TrueBox, ...]:
    study, image = job
    regions = draw(study.truth, image.view, side_px).regions
    return tuple(TrueBox.of(image.image_id, region) for region in regions)


def _film(job: tuple[PlannedStudy, PlannedImage], side_px: int, *, portable_marks: bool) -> _Film:
    study, image = job
    pixels = draw(study.truth, image.view, side_px).pixels
    height, width = pixels.shape
    if portable_marks and image.view is View.AP:
        pixels = _marked(pixels)
    if image.is_dicom:
        data = encode_dicom(pixels, _style(study, image))
    else:
        data = encode_jpeg(_equalised(pixels), quality=95)
    if image.trap == "truncated":
        data = truncate(data)
    return _Film(data, (height, width))


def _copied(
    root: Path, drawn: Path | None, studies: Iterable[PlannedStudy], portable_marks: bool
) -> dict[str, tuple[int, int]]:
    """Copy the JPEGs that are the same in a tree without marks; height and width in px by image."""
    sizes: dict[str, tuple[int, int]] = {}
    if drawn is None:
        return sizes
    for image in (image for study in studies for image in study.images):
        is_marked = portable_marks and image.view is View.AP
        if image.is_dicom or image.trap is not None or is_marked:
            continue
        data = (drawn / image.path).read_bytes()
        with Image.open(BytesIO(data)) as film:
            width, height = film.size
        write_file(root / image.path, data)
        sizes[image.image_id] = (height, width)
    return sizes


def _marked(pixels: Layer) -> Layer:
    """The film with AP in white in its lower right corner, on black.

    Our choice of size: a seventh of the width, so that it is seen at the tiny scale.
    """
    height, width = pixels.shape
    side = width // 7
    mark = np.zeros((side, side), np.float32)
    for x in (0.08, 0.54):
        corners = np.array([(x, 0.85), (x + 0.19, 0.15), (x + 0.38, 0.85)]) * side
        if x > 0.5:  # P: a stem and a bow
            corners = np.array([(x, 0.85), (x, 0.15), (x + 0.34, 0.3), (x, 0.5)]) * side
        points = np.round(corners).astype(np.int32)
        cv2.polylines(mark, [points], isClosed=False, color=1.0, thickness=max(1, side // 9))
    marked = pixels.copy()
    marked[height - side :, width - side :] = mark
    return marked


def _equalised(pixels: Layer) -> Layer:
    """Histogram-equalised, as the publisher made the JPEGs."""
    return np.asarray(cv2.equalizeHist(quantise(pixels, 255)) / np.float32(255), np.float32)


def _style(study: PlannedStudy, image: PlannedImage) -> DicomStyle:
    number = int(image.image_id[:8], 16)
    uid = f"2.25.{int(image.image_id.replace('-', '')[:30], 16)}"
    return DicomStyle(
        transfer_syntax=_SYNTAXES[number % len(_SYNTAXES)],
        bits_stored=12,
        inverted=number % 3 == 0,
        tags={
            "SpecificCharacterSet": "ISO_IR 100",
            "ImageType": ["DERIVED", "PRIMARY"],
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
            "SOPInstanceUID": uid,
            "StudyDate": f"{study.day:%Y%m%d}",
            "Modality": "DX" if number % 2 else "CR",
            "Manufacturer": "Replica Imaging",
            "PatientID": study.subject_id,
            "StudyID": study.study_id,
            "ViewPosition": image.position,
            "PatientIdentityRemoved": "YES",
        },
        instance_uid=uid,
    )


def _write_reports(root: Path, studies: Iterable[PlannedStudy], words: dict[str, Wording]) -> None:
    """Most reports into the archive, some beside their study."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for study in studies:
            text = report_text(study, words[study.study_id])
            name = f"{study.folder}/s{study.study_id}.txt"
            if text is None:
                continue
            if study.is_report_file:
                write_file(root / name, text.encode())
                continue
            member = ZipInfo(name, (2019, 1, 1, 0, 0, 0))
            member.compress_type = ZIP_DEFLATED
            archive.writestr(member, text)
    write_file(root / ARCHIVE, buffer.getvalue())


def _stated(study: PlannedStudy, labels: dict[str, LabelValue]) -> dict[str, LabelValue]:
    """What the tables state: nothing without a label row, but for the radiologist's own table."""
    is_blank = study.number in (UNLABELLED_STUDY, BLANK_LABELS_STUDY)
    if is_blank and study.split is not Split.TEST:
        return dict.fromkeys(labels, LabelValue.UNMENTIONED)
    return labels


def _trap_of(study: PlannedStudy) -> str | None:
    return study.report_trap or next((image.trap for image in study.images if image.trap), None)
