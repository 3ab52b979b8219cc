"""The tables of the MIMIC-CXR replica, column for column as published."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Final

from sources.mimic_cxr_tables import (
    CHEXPERT,
    EXPERT,
    JPEG_NAMES,
    METADATA,
    RECORDS,
    SPLIT,
    STUDIES,
)
from sources.record import OBSERVATIONS, LabelValue, Split
from sources.replicas.mimic_cxr_plan import BLANK_LABELS_STUDY, UNLABELLED_STUDY, PlannedStudy

NEGBIO: Final = "mimic-cxr-2.0.0-negbio.csv.gz"
_LABELS: Final = sorted(OBSERVATIONS)
_METADATA_COLUMNS: Final = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
_VIEW_CODES: Final = {
    "PA": "postero-anterior",
    "AP": "antero-posterior",
    "LATERAL": "lateral",
    "LL": "lateral",
}
_NUMBERS: Final = {
    LabelValue.POSITIVE: "1.0",
    LabelValue.NEGATIVE: "0.0",
    LabelValue.UNCERTAIN: "-1.0",
    LabelValue.UNMENTIONED: "",
}

Labels = Mapping[str, LabelValue]
Row = Sequence[object]


def table_files(
    studies: Sequence[PlannedStudy],
    labels: Mapping[str, Labels],
    sizes: Mapping[str, tuple[int, int]],
) -> dict[str, bytes]:
    """File name to content.

    Args:
        labels: the 14 observations by study id.
        sizes: height and width in px by image id.
    """
    labelled = [study for study in studies if study.number != UNLABELLED_STUDY]
    head = ("subject_id", "study_id", *_LABELS)
    images = [(study, image) for study in studies for image in study.images]
    dicoms = [
        (study.subject_id, study.study_id, image.image_id, image.path)
        for study, image in images
        if image.is_dicom
    ]
    splits = [(i.image_id, s.study_id, s.subject_id, str(s.split)) for s, i in images]
    jpegs = [image.path for _, image in images if not image.is_dicom]
    reports = [(s.subject_id, s.study_id, f"{s.folder}/s{s.study_id}.txt") for s in studies]
    return {
        METADATA: _packed(_METADATA_COLUMNS, _metadata_rows(studies, sizes)),
        SPLIT: _packed(("dicom_id", "study_id", "subject_id", "split"), splits),
        CHEXPERT: _packed(head, _label_rows(labelled, labels, BLANK_LABELS_STUDY)),
        NEGBIO: _packed(head, _label_rows(labelled, labels)),
        EXPERT: _expert_table(studies, labels),
        RECORDS: _packed(("subject_id", "study_id", "dicom_id", "path"), dicoms),
        STUDIES: _packed(("subject_id", "study_id", "path"), reports),
        JPEG_NAMES: "".join(f"{path}\n" for path in jpegs).encode(),
    }


def _metadata_rows(
    studies: Sequence[PlannedStudy], sizes: Mapping[str, tuple[int, int]]
) -> Iterable[Row]:
    for study in studies:
        hours, rest = divmod(study.seconds, 3600)
        clock = hours * 10_000 + (rest // 60) * 100 + rest % 60
        for image in study.images:
            yield (
                image.image_id,
                study.subject_id,
                study.study_id,
                image.procedure,
                image.position,
                *sizes[image.image_id],
                f"{study.day:%Y%m%d}",
                f"{clock:.3f}",  # as published: a number, so that early hours lose their zeros
                image.procedure,
                _VIEW_CODES.get(image.position, ""),
                "Recumbent" if image.position == "AP" and study.number % 3 == 0 else "Erect",
            )


def _label_rows(
    studies: Iterable[PlannedStudy], labels: Mapping[str, Labels], blank: int | None = None
) -> Iterable[Row]:
    """A row per study; all blank in that of the number ``blank``, which NegBio's table lacks."""
    for study in studies:
        stated = labels[study.study_id]
        cells = ["" if study.number == blank else _NUMBERS[stated[name]] for name in _LABELS]
        yield (study.subject_id, study.study_id, *cells)


def _expert_table(studies: Sequence[PlannedStudy], labels: Mapping[str, Labels]) -> bytes:
    """The radiologist's labels of the test studies, under release 2.1.0's column names."""
    columns = ["Airspace Opacity" if name == "Lung Opacity" else name for name in _LABELS]
    rows = [
        (study.study_id, *(_NUMBERS[labels[study.study_id][name]] for name in _LABELS))
        for study in studies
        if study.split is Split.TEST
    ]
    return _text(("study_id", *columns), rows)


def _text(header: Row, rows: Iterable[Row]) -> bytes:
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _packed(header: Row, rows: Iterable[Row]) -> bytes:
    return gzip.compress(_text(header, rows), mtime=0)
