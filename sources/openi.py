"""Open-I (Indiana University chest X-rays, NLMCXR): sectioned reports, open, partly with images.

Raw tree; the reports as the archive or unpacked, the images as far as they were downloaded::

    NLMCXR_reports.tgz          read without unpacking; members ecgen-radiology/1000.xml
    ecgen-radiology/1000.xml    the same, unpacked
    NLMCXR_png/CXR1000_IM-0003-1001.png
    NLMCXR_dcm/**/CXR1000_IM-0003-1001.dcm      optional
    indiana_projections.csv     optional, of the Kaggle copy: uid,filename,projection

One report (invented, cut)::

    <eCitation><uId id="CXR9999"/>...
      <AbstractText Label="COMPARISON">None.</AbstractText>  (INDICATION, FINDINGS, IMPRESSION)
      <MeSH><major>Opacity/lung/base/left</major><automatic>opacity</automatic></MeSH>
      <parentImage id="CXR9999_IM-0001-1001">...

Study id: ``uId``. No subject is published, so ``subject_id`` is None and the split is a hash of
the study id. The sections are the publisher's; ``XXXX`` marks what de-identification removed, also
inside words, and stays. ``raw_report`` is the four sections below their labels.

Views: the XML has none, and the number that ends an image id does not tell them apart (2001 is a
lateral film in CXR1000 and a frontal one in CXR25). They come from the DICOM file's ViewPosition
where it is there, else from ``indiana_projections.csv`` (Frontal is PA there: of the DICOM films
marked PA or AP, nine in ten are PA), else they are UNKNOWN, which the frontal filter drops: to
train on the pictures, put one of the two beside them.

MeSH major terms are the source labels, word for word but for ``No Indexing``;
``openi_reports.COUNTERPARTS`` says which observations they set. An image that is not on disk is
rejected; its study stays as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from infra.egress import Egress
from infra.licences import Use
from sources.card import Access, Card, Expected
from sources.dicom_header import read_tags
from sources.openi_reports import parse_report, report_files
from sources.pixels_dicom_frame import DICOM_DAMAGE
from sources.raw_files import RawFileError, RawFolder
from sources.record import (
    Image,
    Level,
    Reading,
    Rejected,
    Study,
    View,
    rejected_to_table,
    studies_to_table,
)
from sources.table_bytes import is_there
from sources.tables import read_csv

CARD = Card(
    name="openi",
    title="Open-I / Indiana University chest X-rays (NLMCXR)",
    access=Access.OPEN,
    licence="CC BY-NC-ND 4.0: unmodified, non-commercial; adapted copies may not be shared",
    use=Use.RESEARCH,
    citation="Demner-Fushman et al. 2016, doi 10.1093/jamia/ocv080",
    llm_egress=Egress.ANY,
    required=(("NLMCXR_reports.tgz", "ecgen-radiology/*.xml"),),
    language="en",
    has_reports=True,
    official_split=False,
    expected=Expected(studies=3_955, images=7_470),
)
"""Counts: over all XML files (source_formats 13)."""

VIEWS: Final[dict[str, View]] = {
    "PA": View.PA,
    "AP": View.AP,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LATERAL": View.LATERAL,
    "LARGE LATERAL": View.LATERAL,
    "Frontal": View.PA,
    "Lateral": View.LATERAL,
}
"""DICOM ViewPosition as published and the Kaggle table's projection; anything else is UNKNOWN."""

_PROJECTIONS: Final = "indiana_projections.csv"


def read(root: Path) -> Reading:
    """Read all reports under ``root`` and look for their images by name.

    Reasons: study ``report-unreadable``, ``id-missing``, ``duplicate-id``; image ``file-missing``,
    ``duplicate-id``. A rejected study's images, where they are known, carry its reason.

    Raises:
        SourceError: a broken archive, or one without a report.
    """
    CARD.require_files(root)
    rejected: list[Rejected] = []
    parsed = [
        study
        for name, data in report_files(root)
        if (study := parse_report(name, data, rejected)) is not None
    ]
    studies_in = len(parsed) + len(rejected)
    kept = _with_files(root, _first_of_each(parsed, rejected), rejected)
    return Reading(
        studies_to_table(sorted(kept, key=lambda study: study.study_id)),
        rejected_to_table(rejected),
        studies_in,
        sum(len(study.images) for study in parsed),
    )


def _first_of_each(parsed: Iterable[Study], rejected: list[Rejected]) -> list[Study]:
    """The studies without those whose id came before."""
    firsts: dict[str, Study] = {}
    for study in parsed:
        if study.study_id not in firsts:
            firsts[study.study_id] = study
            continue
        detail = "another report has this uId; the first one is kept"
        rejected += [
            _reject(Level.STUDY, study.study_id, study.study_id, "duplicate-id", detail),
            *(
                _reject(Level.IMAGE, image.image_id, study.study_id, "duplicate-id", detail)
                for image in study.images
            ),
        ]
    return list(firsts.values())


def _with_files(root: Path, studies: list[Study], rejected: list[Rejected]) -> list[Study]:
    """The studies with the images that are on disk, each with its uri and view."""
    pictures = {path.stem: path for path in sorted((root / "NLMCXR_png").glob("*.png"))}
    dicoms = {path.stem: path for path in sorted((root / "NLMCXR_dcm").rglob("*.dcm"))}
    projections = _read_projections(root)
    seen: set[str] = set()
    found = []
    for study in studies:
        images = []
        for image in study.images:
            names = (image.image_id, _without_one(image.image_id))
            dicom = next((dicoms[name] for name in names if name in dicoms), None)
            path = next((pictures[name] for name in names if name in pictures), dicom)
            if image.image_id in seen or path is None:
                rejected.append(_reject_image(image, study, image.image_id in seen))
                continue
            seen.add(image.image_id)
            view = _view_of(root, dicom) if dicom else View.UNKNOWN
            if view is View.UNKNOWN:
                view = next((projections[name] for name in names if name in projections), view)
            images.append(replace(image, uri=path.relative_to(root).as_posix(), view=view))
        found.append(replace(study, images=tuple(images)))
    return found


def _without_one(image_id: str) -> str:
    """The name that the files of report 1 have: the XML says ``CXR1_1_IM-``, they ``CXR1_IM-``."""
    return image_id.replace("_1_IM-", "_IM-")


def _reject_image(image: Image, study: Study, is_twin: bool) -> Rejected:
    reason, detail = (
        ("duplicate-id", "an earlier report lists this image too")
        if is_twin
        else ("file-missing", "no such file in NLMCXR_png or NLMCXR_dcm")
    )
    return _reject(Level.IMAGE, image.image_id, study.study_id, reason, detail)


def _reject(level: Level, row_id: str, study_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(CARD.name, level, row_id, study_id, reason, detail)


def _view_of(root: Path, path: Path) -> View:
    """ViewPosition of a DICOM file; UNKNOWN where it has none or cannot be read."""
    try:
        with RawFolder(root) as folder:
            header = read_tags(folder, path.relative_to(root).as_posix(), ["ViewPosition"])
    except (RawFileError, *DICOM_DAMAGE):
        return View.UNKNOWN
    return VIEWS.get(header["ViewPosition"], View.UNKNOWN)


def _read_projections(root: Path) -> dict[str, View]:
    """View by image id, of the Kaggle table: 7,466 short rows, ``1_IM-0001-4001.dcm.png``."""
    path = root / _PROJECTIONS
    if not is_there(path):
        return {}
    columns = read_csv(path, ("filename", "projection")).to_pydict()
    return {
        f"CXR{filename.split('.')[0]}": VIEWS.get(projection, View.UNKNOWN)
        for filename, projection in zip(columns["filename"], columns["projection"], strict=True)
        if filename and projection
    }
