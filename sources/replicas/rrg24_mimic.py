"""The MIMIC-CXR-JPG tree of the RRG24 replica: what its member is built from, and its traps."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from typing import Final

from sources.record import Split, View
from sources.replicas.rrg24_plan import PlannedReport
from sources.replicas.wording import write_report
from sources.rrg24_mimic import METADATA, SECTIONS_FILE, SPLITS

TREE: Final = "mimic-cxr-jpg"
UNRANKED: Final = "RPO"
"""A ViewPosition that the organisers' order does not have."""
_METADATA_COLUMNS: Final = (
    *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition"),
    *("Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning"),
    *("ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning"),
)
Row = Sequence[object]


@dataclass(frozen=True)
class MimicIds:
    """Ids of one study in MIMIC-CXR's manner."""

    subject_id: str
    study_id: str
    image_ids: tuple[str, ...]


def mimic_ids(report: PlannedReport, seed: int) -> MimicIds:
    """Ids that follow from the seed, the person and the study; steps of 13 and 7 never meet."""
    start = int(_token(f"ids {seed}")[:12], 16)
    images = (_token(f"image {report.truth.seed} {place}") for place in range(len(report.views)))
    return MimicIds(
        str(10_000_000 + (start + 13 * report.truth.person.number) % 10_000_000),
        str(50_000_000 + (start + 7 * report.number) % 10_000_000),
        tuple("-".join(token[i : i + 8] for i in range(0, 40, 8)) for token in images),
    )


def mimic_files(
    reports: Sequence[PlannedReport], films: Mapping[int, Sequence[bytes]], seed: int
) -> dict[str, bytes]:
    """Path below the replica's root to bytes: three tables and the JPEGs.

    Args:
        films: the JPEGs of each study's views by its number.
    """
    metadata: list[Row] = []
    splits: list[Row] = []
    sections: list[Row] = []
    files: dict[str, bytes] = {}
    for report in reports:
        ids = mimic_ids(report, seed)
        folder = f"{TREE}/files/p{ids.subject_id[:2]}/p{ids.subject_id}/s{ids.study_id}"
        for place, image_id in enumerate(ids.image_ids):
            is_last = place == len(ids.image_ids) - 1
            splits.append((image_id, ids.study_id, ids.subject_id, report.part))
            if not (report.trap == "no-metadata" and is_last):
                position = _position(report, place, is_last)
                metadata.append(_metadata_row(image_id, ids, position))
            if not (report.trap == "missing" and is_last):
                files[f"{folder}/{image_id}.jpg"] = films[report.number][place]
        sections.append(_section_row(report, ids))
    head = ("dicom_id", "study_id", "subject_id", "split")
    columns = ("study", "impression", "findings", "last_paragraph", "comparison")
    return files | {
        f"{TREE}/{METADATA}.gz": gzip.compress(_table(_METADATA_COLUMNS, metadata), mtime=0),
        f"{TREE}/{SPLITS}.gz": gzip.compress(_table(head, splits), mtime=0),
        f"{TREE}/{SECTIONS_FILE}": _table(columns, sections),
    }


def _position(report: PlannedReport, place: int, is_last: bool) -> str:
    view = report.views[place].view
    if report.trap == "unranked" and is_last:
        return UNRANKED
    return "LL" if view is View.LATERAL and report.number % 3 == 0 else view.value


def _metadata_row(image_id: str, ids: MimicIds, position: str) -> Row:
    about = (image_id, ids.subject_id, ids.study_id, "CHEST (PA AND LAT)", position)
    return (*about, 3056, 2544, "21550101", "101112.131", "CHEST (PA AND LAT)", "", "Erect")


def _section_row(report: PlannedReport, ids: MimicIds) -> Row:
    """Sections as MIMIC-CXR's script writes them: line breaks stay; one study in six has one."""
    words = write_report(report.truth)
    findings = words.findings.replace(". ", ".\n ")
    if report.trap == "blank-sections":
        return (f"s{ids.study_id}", " \n ", "", "", "")
    if report.number % 6 == 3 and report.part == Split.TRAIN:
        findings = ""
    return (f"s{ids.study_id}", words.impression, findings, "", words.comparison)


def _token(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _table(columns: Row, rows: Sequence[Row]) -> bytes:
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue().encode()
