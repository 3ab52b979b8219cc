"""A synthetic CheXpert Plus: PNG files, the report table and the CheXbert label files.

Traps: paths that end in ``.jpg`` although the files are PNG, label files of JSON Lines named
``.json``, reports in capitals, literal backslash-n, sections that are often missing (findings on
27 % of rows, clinical history on 62 %, history on 17 %), report text repeated on each image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from re import sub
from typing import Final
from zlib import crc32

import numpy as np

from sources.record import OBSERVATIONS, LabelValue
from sources.replicas.chexpert import (
    DOUBT,
    STUDIES_PER_SUBJECT,
    Film,
    films_of,
    split_folder,
    study_id,
    write_csv,
)
from sources.replicas.files import draw_many, encode_png, write_file
from sources.replicas.phantom import draw
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueStudy, write_truth
from sources.replicas.wording import Wording, write_report

_COLUMN_NAMES: Final = """
    path_to_image path_to_dcm frontal_lateral ap_pa deid_patient_id patient_report_date_order
    report section_narrative section_clinical_history section_history section_comparison
    section_technique section_procedure_comments section_findings section_impression
    section_end_of_impression section_summary section_accession_number age sex race ethnicity
    interpreter_needed insurance_type recent_bmi deceased split
"""
COLUMNS: Final = tuple(_COLUMN_NAMES.split())
_FILLED: Final = {"findings": 0.27, "clinical_history": 0.62, "history": 0.17}
_CAPITALS: Final = 0.7
"""Share of reports in capitals. Our choice: they are common."""
_NUMBERS: Final = {
    LabelValue.POSITIVE: 1.0,
    LabelValue.NEGATIVE: 0.0,
    LabelValue.UNCERTAIN: -1.0,
    LabelValue.UNMENTIONED: None,
}
_END: Final = "END OF IMPRESSION"
_CLOSING: Final = "This synthetic report was anonymized; all dates are offset."


def write_plus(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``; its studies are those of ``chexpert.write``."""
    truths = draw_cohort(spec, "chexpert", studies_per_subject=STUDIES_PER_SUBJECT)
    films = [film for truth in truths for film in films_of(truth, spec.side_px)]
    for film, data in zip(films, draw_many(draw_film, films, spec.processes), strict=True):
        write_file(root / "PNG" / f"{film.path}.png", data)
    reports = [write_report(truth, compare=True, doubt=DOUBT) for truth in truths]
    pairs = list(zip(truths, reports, strict=True))
    rows = [row for truth, report in pairs for row in _rows(truth, report)]
    write_csv(
        root / "df_chexpert_plus_240401.csv",
        COLUMNS,
        [[row.get(name, "") for name in COLUMNS] for row in rows],
    )
    for name in ("findings", "impression", "report"):
        lines = "".join(line for truth, report in pairs for line in _label_lines(truth, report))
        write_file(root / "chexbert_labels" / f"{name}_fixed.json", lines.encode())
    write_truth(
        root, (TrueStudy(study_id(truth), truth, report.labels(truth)) for truth, report in pairs)
    )


def draw_film(film: Film) -> bytes:
    """The 8-bit PNG file of one image."""
    return encode_png(draw(film.truth, film.view, film.side_px).pixels)


def _label_lines(truth: ChestTruth, report: Wording) -> Iterator[str]:
    values = {name: _NUMBERS[value] for name, value in report.labels(truth).items()}
    for film in films_of(truth, 0):
        row = {"path_to_image": f"{film.path}.jpg", **{name: values[name] for name in OBSERVATIONS}}
        yield json.dumps(row) + "\n"


def _rows(truth: ChestTruth, report: Wording) -> Iterator[dict[str, str]]:
    sections = _sections(truth, report)
    for film in films_of(truth, 0):
        is_frontal = film.view.is_frontal
        yield {
            "path_to_image": f"{film.path}.jpg",
            "path_to_dcm": f"{film.path}.dcm",
            "frontal_lateral": "Frontal" if is_frontal else "Lateral",
            "ap_pa": film.view.value if is_frontal else "",
            "deid_patient_id": f"patient{truth.person.number:05d}",
            "patient_report_date_order": str(truth.study),
            **sections,
            "section_accession_number": str(truth.seed % 10**8),
            "age": f"{truth.age}.0",
            "sex": {"F": "Female", "M": "Male"}[truth.person.sex],
            "race": "Unknown",
            "ethnicity": "Unknown",
            "interpreter_needed": "No",
            "insurance_type": "Unknown",
            "recent_bmi": f"{18 + 20 * truth.person.habitus.fat:.1f}",
            "deceased": "No",
            "split": split_folder(truth),
        }


def _sections(truth: ChestTruth, report: Wording) -> dict[str, str]:
    """The report and its sections as cells; lines are joined by a literal backslash-n."""
    rng = np.random.default_rng([truth.seed, crc32(b"chexpert-plus")])
    has = {name: rng.random() < share for name, share in _FILLED.items()}
    case = str.upper if rng.random() < _CAPITALS else str
    sections = {
        "clinical history": report.indication if has["clinical_history"] else "",
        "history": report.indication if has["history"] else "",
        "comparison": report.comparison,
        "technique": report.technique,
        "findings": report.findings if has["findings"] else "",
        "impression": sub(r" (?=[2-9]\. )", "\n", report.impression),
        "end of impression": _END,
        "summary": "1-NORMAL" if truth.is_normal else "4-POSSIBLE SIGNIFICANT FINDINGS",
    }
    lines = [f"{name}: {body}" for name, body in sections.items() if body]
    narrative = _cell("\n".join([*lines, _CLOSING]), case)
    cells = {f"section_{name.replace(' ', '_')}": body for name, body in sections.items()}
    return {name: _cell(body, case) for name, body in cells.items()} | {
        "report": narrative,
        "section_narrative": narrative,
    }


def _cell(text: str, case: Callable[[str], str]) -> str:
    """Text in its case, with line breaks written as backslash and n."""
    return case(text).replace("\n", "\\n")
