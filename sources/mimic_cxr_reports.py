"""MIMIC-CXR's report files, out of the zip or the folders, as raw text and sections."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import SourceError
from sources.mimic_cxr_annotations import Annotations
from sources.record import STUDY_SCHEMA, Level, Reading, Rejected, rejected_to_table
from sources.sections import section_report
from sources.tables import join_rejections, query, rejections

ARCHIVE: Final = "mimic-cxr-reports.zip"
_SOURCE: Final = "mimic_cxr"
_BATCH_STUDIES: Final = 4096
"""Studies turned into Arrow at once. Our choice: some 10 MB of text as Python objects."""


def attach_texts(root: Path, reading: Reading, annotations: Annotations | None) -> Reading:
    """The reading with ``raw_report`` and ``texts`` filled in; its studies are sorted by id."""
    studies = reading.studies
    raw_chunks, text_chunks = [], []
    faults: list[Rejected] = []
    with _open_reports(root) as reports:
        for batch in studies.select(["subject_id", "study_id"]).to_batches(_BATCH_STUDIES):
            ids = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            raw = [reports.read(subject_id, study_id, faults) for subject_id, study_id in ids]
            sections = [section_report(report) if report else None for report in raw]
            texts = [[asdict(text)] if text else [] for text in sections]
            raw_chunks.append(pa.array(raw, pa.string()))
            text_chunks.append(pa.array(texts, STUDY_SCHEMA.field("texts").type))
    own = pa.chunked_array(text_chunks, STUDY_SCHEMA.field("texts").type)
    rejected = [reading.rejected, rejected_to_table(faults)]
    if annotations is not None:
        own = _prefer(annotations, studies, own)
        rejected += [annotations.rejected, _not_in(studies, annotations)]
    for name, column in (
        ("raw_report", pa.chunked_array(raw_chunks, pa.string())),
        ("texts", own),
    ):
        studies = studies.set_column(
            studies.column_names.index(name), STUDY_SCHEMA.field(name), column
        )
    return replace(reading, studies=studies, rejected=join_rejections(*rejected))


class _Reports:
    """Where reports are found: members of the archive by study id, then files."""

    def __init__(self, root: Path, archive: ZipFile | None) -> None:
        self._root, self._archive = root, archive
        names = archive.namelist() if archive else []
        self._members = {Path(name).stem: name for name in names if name.endswith(".txt")}

    def read(self, subject_id: str, study_id: str, faults: list[Rejected]) -> str | None:
        """One report's text; None where there is none or, with a row in ``faults``, it is bad."""
        try:
            data = self._bytes(subject_id, study_id)
        except (BadZipFile, zlib.error, OSError) as error:
            faults.append(_fault(study_id, "report-unreadable", type(error).__name__))
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
        if self._archive and (member := self._members.get(f"s{study_id}")):
            return self._archive.read(member)
        path = self._root / "files" / f"p{subject_id[:2]}" / f"p{subject_id}" / f"s{study_id}.txt"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


@contextmanager
def _open_reports(root: Path) -> Iterator[_Reports]:
    path = root / ARCHIVE
    if not path.is_file():
        yield _Reports(root, None)
        return
    try:
        archive = ZipFile(path)
    except BadZipFile as error:
        raise SourceError(
            f"a broken zip archive at {path} ({error})",
            "the publisher's archive of reports",
            "download the file again and compare its checksum with the publisher's",
        ) from None
    with archive:
        yield _Reports(root, archive)


def _fault(study_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(_SOURCE, Level.TEXT, study_id, study_id, reason, detail)


def _prefer(annotations: Annotations, studies: pa.Table, own: pa.ChunkedArray) -> pa.ChunkedArray:
    """The annotated texts for studies in annotated splits, else our own."""
    joined = query(
        """SELECT coalesce(texts, []) AS texts FROM studies
           LEFT JOIN annotated USING (study_id) ORDER BY study_id""",
        studies=studies.select(["study_id"]),
        annotated=annotations.texts,
    )
    splits = pa.array([str(split) for split in annotations.splits])
    covered = pc.is_in(studies.column("split"), splits)
    return pc.if_else(covered, joined.column("texts").cast(own.type), own)


def _not_in(studies: pa.Table, annotations: Annotations) -> pa.Table:
    """Rejections of annotated studies that are not among the studies read."""
    annotated = annotations.texts.column("study_id")
    unknown = annotated.filter(pc.invert(pc.is_in(annotated, studies.column("study_id"))))
    detail = "the annotated study is not among the studies read"
    return rejections(_SOURCE, Level.TEXT, unknown, unknown, "study-unknown", detail)
