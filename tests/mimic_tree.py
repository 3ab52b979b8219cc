"""A MIMIC-CXR root of a few hand-written rows, for tests that change one thing in it."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
METADATA_COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
)
STUDY = "50000001"
REPORT = " " * 33 + "FINAL REPORT\n FINDINGS: \n \n Clear\n lungs.\n \n IMPRESSION: Normal.\n"
ANNOTATIONS = "llava-rad-mimic-cxr-annotation-1.0.0"


def image_row(image: str, subject: str, study: str, view: str = "PA", **cells: str) -> list[str]:
    """One row of the metadata table."""
    row = dict.fromkeys(METADATA_COLUMNS, "") | {
        "dicom_id": image,
        "subject_id": subject,
        "study_id": study,
        "ViewPosition": view,
        "Rows": "3056",
        "Columns": "2544",
        "StudyDate": "21550131",
    }
    return list((row | cells).values())


@dataclass
class MimicTree:
    """Rows of each table; ``write`` puts them under the root. None leaves a file out."""

    root: Path
    metadata: list[list[str]] | None = field(
        default_factory=lambda: [
            image_row("aa-01", "10000001", STUDY),
            image_row("aa-02", "10000001", STUDY, "LL"),
            image_row("bb-01", "10000002", "50000002", "AP"),
        ]
    )
    splits: list[list[str]] | None = field(
        default_factory=lambda: [
            ["aa-01", STUDY, "10000001", "train"],
            ["aa-02", STUDY, "10000001", "train"],
            ["bb-01", "50000002", "10000002", "test"],
        ]
    )
    labels: dict[str, dict[str, str]] | None = field(
        default_factory=lambda: {STUDY: {"Edema": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"}}
    )
    expert: dict[str, dict[str, str]] | None = None
    reports: dict[str, bytes] = field(default_factory=lambda: {STUDY: REPORT.encode()})
    records: list[list[str]] | None = None
    studies: list[list[str]] | None = None
    jpeg_names: list[str] | None = None
    annotations: dict[str, list[dict[str, Any]] | bytes] = field(default_factory=dict)

    def write(self) -> Path:
        """All files but the images; returns the root."""
        (self.root / "files").mkdir(parents=True, exist_ok=True)
        label_rows = [
            ["10000001", study, *(cells.get(name, "") for name in LABELS)]
            for study, cells in (self.labels or {}).items()
        ]
        expert_names = [name.replace("Lung Opacity", "Airspace Opacity") for name in LABELS]
        expert_rows = [
            [study, *(cells.get(name, "") for name in expert_names)]
            for study, cells in (self.expert or {}).items()
        ]
        prefix = "mimic-cxr-2.0.0"
        for name, columns, rows in (
            (f"{prefix}-metadata.csv.gz", METADATA_COLUMNS, self.metadata),
            (
                f"{prefix}-split.csv.gz",
                ("dicom_id", "study_id", "subject_id", "split"),
                self.splits,
            ),
            (
                f"{prefix}-chexpert.csv.gz",
                ("subject_id", "study_id", *LABELS),
                label_rows if self.labels is not None else None,
            ),
            (
                "mimic-cxr-2.1.0-test-set-labeled.csv",
                ("study_id", *expert_names),
                expert_rows if self.expert is not None else None,
            ),
            (
                "cxr-record-list.csv.gz",
                ("subject_id", "study_id", "dicom_id", "path"),
                self.records,
            ),
            ("cxr-study-list.csv.gz", ("subject_id", "study_id", "path"), self.studies),
        ):
            if rows is not None:
                (self.root / name).write_bytes(_table(name, columns, rows))
        if self.jpeg_names is not None:
            (self.root / "IMAGE_FILENAMES").write_text("\n".join(self.jpeg_names))
        with ZipFile(self.root / "mimic-cxr-reports.zip", "w") as archive:
            for study, data in self.reports.items():
                archive.writestr(f"files/p10/p10000001/s{study}.txt", data)
        for split, entries in self.annotations.items():
            name = f"chat_{split}_MIMIC_CXR_all_gpt4extract_rulebased_v1.json"
            (self.root / ANNOTATIONS).mkdir(exist_ok=True)
            data = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
            (self.root / ANNOTATIONS / name).write_bytes(data)
        return self.root


def _table(name: str, columns: tuple[str, ...], rows: list[list[str]]) -> bytes:
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    data = buffer.getvalue().encode()
    return gzip.compress(data) if name.endswith(".gz") else data
