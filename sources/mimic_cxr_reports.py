"""MIMIC-CXR's report files, out of the zip or the folders, as raw text and sections."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import SourceError
from sources.mimic_cxr_annotations import Annotations
from sources.raw_files import RawFileError, RawFolder
from sources.record import STUDY_SCHEMA, Level, Reading, Rejected, rejected_to_table
from sources.sections import section_report
from sources.table_bytes import is_there
from sources.tables import join_rejections, rejections

ARCHIVE: Final = "mimic-cxr-reports.zip"
_SOURCE: Final = "mimic_cxr"
_LARGEST_REPORT_BYTES: Final = 16 << 20
"""Our choice: a thousand times the longest published report."""
_BATCH_STUDIES: Final = 4096
"""Studies turned into Arrow at once. Our choice: some 10 MB of text as Python objects."""


def attach_texts(root: Path, reading: Reading, annotations: Annotations | None) -> Reading:
    """The reading with ``raw_report`` and ``texts`` filled in."""
    studies = reading.studies
    raw_chunks, text_chunks = [], []
    faults: list[Rejected] = []
    with RawFolder(root) as folder:
        reports = _Reports(folder, _members(folder))
        for batch in studies.select(["subject_id", "study_id", "split"]).to_batches(_BATCH_STUDIES):
            raw = [
                reports.read(subject_id, study_id, faults)
                for subject_id, study_id in zip(
                    batch["subject_id"].to_pylist(), batch["study_id"].to_pylist(), strict=True
                )
            ]
            raw_chunks.append(pa.array(raw, pa.string()))
            text_chunks.append(_texts(batch, raw, annotations))
    for name, chunks in (("raw_report", raw_chunks), ("texts", text_chunks)):
        field = STUDY_SCHEMA.field(name)
        column = pa.chunked_array(chunks, field.type)
        studies = studies.set_column(STUDY_SCHEMA.names.index(name), field, column)
    rejected = [reading.rejected, rejected_to_table(faults)]
    if annotations is not None:
        rejected += [annotations.rejected, _not_in(studies, annotations)]
    return replace(reading, studies=studies, rejected=join_rejections(*rejected))


def _texts(
    batch: pa.RecordBatch, raw: list[str | None], annotations: Annotations | None
) -> pa.Array:
    """The texts of some studies: the annotated ones in annotated splits, else our own."""
    kind = STUDY_SCHEMA.field("texts").type
    covered = annotations.splits if annotations else frozenset()
    splits = batch["split"].to_pylist()
    sections = [
        section_report(report) if report and split not in covered else None
        for report, split in zip(raw, splits, strict=True)
    ]
    own = pa.array([[asdict(text)] if text else [] for text in sections], kind)
    if annotations is None:
        return own
    places = pc.index_in(batch["study_id"], annotations.study_ids)
    is_annotated = pc.and_(pa.array([split in covered for split in splits]), pc.is_valid(places))
    return pc.if_else(is_annotated, annotations.texts.take(places), own)


class _Reports:
    """Where reports are found: members of the archive by study id, then files."""

    def __init__(self, folder: RawFolder, members: list[str]) -> None:
        self._folder = folder
        self._members = {Path(name).stem: name for name in members if name.endswith(".txt")}

    def read(self, subject_id: str, study_id: str, faults: list[Rejected]) -> str | None:
        """One report's text; None where there is none or, with a row in ``faults``, it is bad."""
        try:
            data = self._bytes(subject_id, study_id)
        except RawFileError as error:
            if error.reason == "file-empty":
                faults.append(_fault(study_id, "report-empty", "the report file has no text"))
            else:
                known = error.reason == "checksum-mismatch"
                reason = error.reason if known else "report-unreadable"
                faults.append(_fault(study_id, reason, error.detail))
            return None
        if data is None:
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.append(_fault(study_id, "report-not-utf8", f"byte {error.start} is not UTF-8"))
            return None
        if not text.strip():
            faults.append(_fault(study_id, "report-empty", "the report file has no text"))
            return None
        return text

    def _bytes(self, subject_id: str, study_id: str) -> bytes | None:
        if member := self._members.get(f"s{study_id}"):
            return self._folder.read(f"{ARCHIVE}!{member}", _LARGEST_REPORT_BYTES)
        place = f"files/p{subject_id[:2]}/p{subject_id}/s{study_id}.txt"
        try:
            return self._folder.read(place, _LARGEST_REPORT_BYTES)
        except RawFileError as error:
            if error.reason == "file-missing" and not os.path.lexists(self._folder.root / place):
                return None
            raise


def _members(folder: RawFolder) -> list[str]:
    path = folder.root / ARCHIVE
    if not is_there(path):
        return []
    try:
        return folder.members(ARCHIVE)
    except RawFileError as error:
        raise SourceError(
            f"a broken zip archive at {path} ({error.__cause__ or error.detail})",
            "the publisher's archive of reports",
            "download the file again and compare its checksum with the publisher's",
        ) from None


def _fault(study_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(_SOURCE, Level.TEXT, study_id, study_id, reason, detail)


def _not_in(studies: pa.Table, annotations: Annotations) -> pa.Table:
    """Rejections of annotated studies that are not among the studies read."""
    known = pc.is_in(annotations.study_ids, studies["study_id"])
    unknown = annotations.study_ids.filter(pc.invert(known))
    detail = "the annotated study is not among the studies read"
    return rejections(_SOURCE, Level.TEXT, unknown, unknown, "study-unknown", detail)
