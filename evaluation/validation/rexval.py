"""ReXVal's two files as PhysioNet publishes them (credentialed: users bring their own copy).

    50_samples_gt_and_candidates.csv                study_id, gt_report, radgraph, bertscore,
                                                    s_emb, bleu
    6_valid_raters_per_rater_error_categories.csv   study_number, candidate_type, rater_index,
                                                    error_category, clinically_significant,
                                                    num_errors

``study_number`` is the row of the first file, ``candidate_type`` one of its last four columns,
``error_category`` 1 to 6 in the order of ``chexprompt.KINDS`` (source_formats 18). Its texts come
from MIMIC-CXR, so that source's card says where they may go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from evaluation.validation.ratings import Ratings, Row, gather, read_rows
from infra.errors import InputError

TEXTS_FILE: Final = "50_samples_gt_and_candidates.csv"
RATINGS_FILE: Final = "6_valid_raters_per_rater_error_categories.csv"
TEXTS_OF: Final = "mimic_cxr"
"""The source whose texts these are."""
CANDIDATES: Final = ("radgraph", "bertscore", "s_emb", "bleu")
_COLUMNS: Final = {
    "study_number": "study",
    "candidate_type": "candidate",
    "rater_index": "rater",
    "error_category": "category",
    "clinically_significant": "significant",
    "num_errors": "errors",
}
_ADVICE: Final = "download ReXVal 1.0.0 from PhysioNet again"


def is_rexval(place: Path) -> bool:
    """Whether a folder has both of ReXVal's files."""
    return (place / TEXTS_FILE).is_file() and (place / RATINGS_FILE).is_file()


def read_rexval(folder: Path) -> Ratings:
    """All ratings with their texts.

    Raises:
        InputError: a column is missing, or the studies are numbered beyond the texts.
    """
    texts = _texts(folder / TEXTS_FILE)
    path = folder / RATINGS_FILE
    header, rows = read_rows(path)
    _require(path, header, tuple(_COLUMNS))
    table = list(rows)
    first = _first_number(path, table, len(texts))
    named = [_COLUMNS.get(name, name) for name in header]
    return gather(path, named, (_row(row, texts, first) for row in table))


def _texts(path: Path) -> list[Row]:
    header, rows = read_rows(path)
    _require(path, header, ("gt_report", *CANDIDATES))
    table = list(rows)
    if None in table:
        raise InputError(f"a row of {path} with cells too many or too few", "as published", _ADVICE)
    return [row for row in table if row is not None]


def _require(path: Path, header: list[str], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InputError(f"{path} without column '{missing[0]}'", ", ".join(wanted), _ADVICE)


def _first_number(path: Path, rows: list[Row | None], studies: int) -> int:
    """Whether studies are counted from 0 or from 1."""
    numbers = {_whole(row["study_number"]) for row in rows if row is not None} - {None}
    known = {number for number in numbers if number is not None}
    if not known:
        raise InputError(f"no study_number in {path}", "numbers from 0", _ADVICE)
    first = min(1, min(known)) if max(known) >= studies else 0
    if min(known) < first or max(known) - first >= studies:
        raise InputError(
            f"study_number {min(known)} to {max(known)} in {path}",
            f"rows of the {studies} texts",
            _ADVICE,
        )
    return first


def _row(row: Row | None, texts: list[Row], first: int) -> Row | None:
    """One row under our names, with its texts; a bad number or candidate is an empty id."""
    if row is None:
        return None
    named = {_COLUMNS.get(name, name): cell for name, cell in row.items()}
    number, candidate = _whole(row["study_number"]), row["candidate_type"].strip()
    if number is None or candidate not in CANDIDATES:
        return {**named, "study": ""}
    text = texts[number - first]
    pair = {"reference": text["gt_report"], "prediction": text[candidate]}
    return {**named, **pair, "study": f"{number - first:02}"}


def _whole(cell: str) -> int | None:
    cell = cell.strip().removesuffix(".0")
    return int(cell) if cell.isdecimal() else None
