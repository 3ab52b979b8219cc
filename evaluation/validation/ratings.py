"""What raters counted: one file of ratings, or a folder with ``ratings.csv`` and ``pairs.csv``.

    study,candidate,rater,category,significant,errors      one row per count (long), or
    study,candidate,rater,significant_errors,errors        one row per rater and pair (totals), or
    study,candidate,rater,significant_omission_finding,…   the same by kind: all twelve columns

``study`` names what the bootstrap draws, ``candidate`` the system or method that wrote the text.
``category`` is 1 to 6 or a kind of ``chexprompt.KINDS``; ``significant`` is true or false. Totals
are ``significant_errors``, ``errors`` (both tiers together), or both; ``insignificant_errors`` can
stand for ``errors`` beside the first. A count is any number from 0 to 99. In the long form a rater
who has a row for a pair found none of the errors without a row.

``reference`` and ``prediction`` are the texts, and ``higher:NAME`` or ``lower:NAME`` the value of a
metric computed elsewhere, for which higher or lower is better. They stand in the same rows, or once
per pair in ``pairs.csv`` (study, candidate, …). Other columns are not read.

A row that cannot be read is left out and counted by its reason:

    ragged-row          more or fewer cells than the header
    id-missing          no study, candidate or rater
    unknown-category, unknown-tier, bad-count      a cell of a count
    duplicate           this rater counted this before
    text-differs        another text for a pair than an earlier row has

Shapes: R raters, P pairs, T = 2 tiers, K = 6 kinds.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluation.chexprompt import KINDS
from evaluation.statistics import Floats
from infra.errors import InputError

TIERS = ("significant", "insignificant")
BY_KIND = tuple(f"{tier}_{kind}" for tier in TIERS for kind in KINDS)
TOTALS = ("significant_errors", "insignificant_errors", "errors")
TEXTS = ("reference", "prediction")
_IDS = ("study", "candidate", "rater")
_LONG = ("category", "significant", "errors")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_LARGEST_COUNT = 99
"""As a judge's: no report has a hundred errors (our choice)."""
_ADVICE = "see docs/metrics.md for the columns"

Row = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """A text that was rated against its reference; the texts are None where they are not given."""

    study: str
    candidate: str
    reference: str | None = None
    prediction: str | None = None


@dataclass(frozen=True)
class OutsideMetric:
    """A metric's values (P,) as the file has them, nan where it has none."""

    values: Floats
    higher_is_better: bool


@dataclass(frozen=True)
class Ratings:
    """Everything that was read.

    ``kinds`` (R, P, T, K) and ``totals`` (R, P, 2: significant, all) are nan where a rater did not
    rate a pair, or where the file does not tell. ``rows_in`` = rows kept + ``rejected``.
    """

    pairs: tuple[Pair, ...]
    raters: tuple[str, ...]
    kinds: Floats
    totals: Floats
    outside: dict[str, OutsideMetric]
    rows_in: int
    rejected: dict[str, int]


@dataclass
class _Gathered:
    """Counts by (pair, rater) while rows are read; a cell is (tier, kind) or a name of TOTALS."""

    counts: dict[tuple[str, str, str], dict[object, float]] = field(default_factory=dict)
    texts: dict[tuple[str, str], Row] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    rows_in: int = 0


def read_ratings(place: Path) -> Ratings:
    """Ratings of a CSV file, or of a folder with ``ratings.csv`` and perhaps ``pairs.csv``.

    Raises:
        InputError: no such file, a column is missing, or no row can be used.
    """
    path = place / "ratings.csv" if place.is_dir() else place
    pairs = place / "pairs.csv"
    gathered = _Gathered()
    if place.is_dir() and pairs.is_file():
        header, rows = read_rows(pairs)
        _require(pairs, header, ("study", "candidate"))
        for row in rows:
            gathered.rows_in += 1
            if not _add_texts(gathered, row):
                gathered.rejected["ragged-row" if row is None else "text-differs"] += 1
    header, rows = read_rows(path)
    return gather(path, header, rows, gathered)


def gather(
    path: Path, header: Sequence[str], rows: Iterator[Row | None], gathered: _Gathered | None = None
) -> Ratings:
    """Ratings from rows of any of the three forms; None stands for a ragged row."""
    _require(path, header, _IDS)
    found = gathered or _Gathered()
    cells = _cells_of(path, header)
    for row in rows:
        found.rows_in += 1
        reason = "ragged-row" if row is None else _add(found, row, cells)
        if reason is not None:
            found.rejected[reason] += 1
    return _ratings(path, found)


def read_rows(path: Path) -> tuple[list[str], Iterator[Row | None]]:
    """Header and rows; a row with another number of cells than the header is None.

    Raises:
        InputError: the file is not there, is empty or is no CSV in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = list(csv.reader(file))
    except FileNotFoundError:
        raise InputError(f"no file {path}", "a CSV of ratings", _ADVICE) from None
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        kind = type(error).__name__
        raise InputError(f"{path} ({kind})", "a CSV file in UTF-8", _ADVICE) from None
    if not table:
        raise InputError(f"nothing in {path}", "a header and rows", _ADVICE)
    header = [name.strip() for name in table[0]]
    filled = (row for row in table[1:] if any(cell.strip() for cell in row))
    return header, (
        dict(zip(header, row, strict=True)) if len(row) == len(header) else None for row in filled
    )


def _require(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InputError(
            f"{path} without column '{missing[0]}'", f"columns {', '.join(wanted)}", _ADVICE
        )


def _cells_of(path: Path, header: Sequence[str]) -> Sequence[str]:
    """The columns that hold counts; ``_LONG`` for the long form."""
    if "category" in header:
        _require(path, header, _LONG)
        return _LONG
    if any(name in header for name in BY_KIND):
        _require(path, header, BY_KIND)
        return BY_KIND
    totals = [name for name in TOTALS if name in header]
    if totals in ([], ["insignificant_errors"]):
        raise InputError(
            f"{path} without a column of counts",
            f"category and errors, {BY_KIND[0]} and eleven more, {TOTALS[0]} or errors",
            _ADVICE,
        )
    return totals


def _add(found: _Gathered, row: Row, cells: Sequence[str]) -> str | None:
    """Take one row, or say why not."""
    ids = [row[name].strip() for name in _IDS]
    if not all(ids):
        return "id-missing"
    counted = _long_count(row) if cells is _LONG else _wide_counts(row, cells)
    if isinstance(counted, str):
        return counted
    study, candidate, rater = ids
    key = (study, candidate, rater)
    if found.counts.get(key, {}).keys() & counted.keys():
        return "duplicate"
    if not _add_texts(found, row):
        return "text-differs"
    found.counts.setdefault(key, {}).update(counted)
    return None


def _long_count(row: Row) -> dict[object, float] | str:
    named = row["category"].strip().lower().replace(" ", "_").removesuffix(".0")
    names = {**{str(number): kind for number, kind in enumerate(KINDS, 1)}, **{k: k for k in KINDS}}
    tier = row["significant"].strip().lower().removesuffix(".0")
    count = _number(row["errors"])
    if named not in names:
        return "unknown-category"
    if tier not in (*_TRUE, *_FALSE):
        return "unknown-tier"
    if count is None:
        return "bad-count"
    return {(TIERS[tier in _FALSE], names[named]): count}


def _wide_counts(row: Row, cells: Sequence[str]) -> dict[object, float] | str:
    read = {name: _number(row[name]) for name in cells}
    if any(count is None for count in read.values()):
        return "bad-count"
    numbers = {name: count for name, count in read.items() if count is not None}
    if numbers.get("errors", math.inf) < numbers.get("significant_errors", 0):
        return "bad-count"
    if cells is not BY_KIND:
        return {str(name): count for name, count in numbers.items() if name in cells}
    return {tuple(name.split("_", 1)): count for name, count in numbers.items()}


def _number(cell: str) -> float | None:
    try:
        count = float(cell)
    except ValueError:
        return None
    return count if 0 <= count <= _LARGEST_COUNT else None


def _add_texts(found: _Gathered, row: Row | None) -> bool:
    """Keep a row's texts and metrics; False where an earlier row of the pair says otherwise."""
    if row is None:
        return False
    told = {
        name: cell.strip()
        for name, cell in row.items()
        if (name in TEXTS or name.startswith(("higher:", "lower:"))) and cell.strip()
    }
    known = found.texts.setdefault((row["study"].strip(), row["candidate"].strip()), {})
    if any(known.get(name, cell) != cell for name, cell in told.items()):
        return False
    known.update(told)
    return True


def _ratings(path: Path, found: _Gathered) -> Ratings:
    if not found.counts:
        reasons = ", ".join(f"{why} {n}" for why, n in sorted(found.rejected.items())) or "no row"
        raise InputError(f"no usable rating in {path} ({reasons})", "rows of counts", _ADVICE)
    keys = sorted({(study, candidate) for study, candidate, _ in found.counts})
    raters = sorted({rater for _, _, rater in found.counts})
    kinds = np.full((len(raters), len(keys), len(TIERS), len(KINDS)), np.nan)
    totals = np.full((len(raters), len(keys), 2), np.nan)
    places = {key: place for place, key in enumerate(keys)}
    for (study, candidate, rater), counts in found.counts.items():
        at = raters.index(rater), places[study, candidate]
        if any(isinstance(name, tuple) for name in counts):
            kinds[at] = [[counts.get((tier, kind), 0.0) for kind in KINDS] for tier in TIERS]
            totals[at] = kinds[at][0].sum(), kinds[at].sum()
        else:
            totals[at] = _totals({str(name): count for name, count in counts.items()})
    texts = [found.texts.get(key, {}) for key in keys]
    pairs = tuple(
        Pair(*key, text.get("reference"), text.get("prediction"))
        for key, text in zip(keys, texts, strict=True)
    )
    rejected = dict(sorted(found.rejected.items()))
    return Ratings(pairs, tuple(raters), kinds, totals, _outside(texts), found.rows_in, rejected)


def _totals(counts: Mapping[str, float]) -> tuple[float, float]:
    """Significant errors and all errors, nan where unknown."""
    significant = counts.get("significant_errors", math.nan)
    both = significant + counts.get("insignificant_errors", math.nan)
    return significant, counts.get("errors", both)


def _outside(texts: Sequence[Row]) -> dict[str, OutsideMetric]:
    names = sorted({name for row in texts for name in row if name not in TEXTS})
    return {
        name.partition(":")[2]: OutsideMetric(
            np.array([_value(row.get(name)) for row in texts]), name.startswith("higher:")
        )
        for name in names
    }


def _value(cell: str | None) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
