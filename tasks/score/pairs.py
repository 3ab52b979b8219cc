"""Score a file of pairs, whoever wrote the predictions: ``cxr score PAIRS``.

A row is one pair. ``reference`` and ``prediction`` are texts; ``subject``, ``study`` and ``source``
may be there and say what belongs together. Without ``study`` each row is a study of its own,
without ``subject`` each study is its own subject. Further columns are ignored. A prediction may be
empty; a reference may not, since nothing can be compared with it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from infra.errors import InputError
from infra.settings.environment import Environment
from infra.settings.sections import ScoreSettings
from infra.workers import workers_of
from tasks.score.neural import encode_table

if TYPE_CHECKING:
    from evaluation.blocks import Block
    from evaluation.metric_cache import MetricCache
    from evaluation.scores import Scores

TEXTS = ("reference", "prediction")
KEYS = ("source", "study", "subject")
_FORMS = "a .csv, .jsonl or .parquet file"
LARGEST_BYTES = 2 << 30
"""Our choice: a file that is larger is no list of reports."""
_LARGEST_BLOCK = 2**31 - 1  # pyarrow counts a block's bytes in 32 bits


def read_pairs(path: Path) -> pa.Table:
    """Columns ``reference``, ``prediction`` and those of ``KEYS`` that are there, all text.

    Raises:
        InputError: no such file, another form, a file that cannot be read as its form, a column
            that is missing, twice or no text, no row, or a row without a reference.
    """
    table = _read(path)
    for name in TEXTS:
        if name not in table.column_names:
            raise InputError(
                f"no column '{name}' in {path}",
                f"{' and '.join(TEXTS)}, perhaps {', '.join(KEYS)}",
                "name the columns in the file's head",
            )
    twice = [name for name in (*TEXTS, *KEYS) if table.column_names.count(name) > 1]
    if twice:
        raise InputError(f"column '{twice[0]}' twice in {path}", "once", "remove one")
    kept = table.select([name for name in (*TEXTS, *KEYS) if name in table.column_names])
    if not kept.num_rows:
        raise InputError(f"no row in {path}", "a row for each pair", "see 'cxr score --help'")
    return _checked(path, kept)


def _read(path: Path) -> pa.Table:
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    if not path.is_file():
        raise InputError(f"nothing at {path}", _FORMS, "correct the path")
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}", _FORMS, "convert or rename it")
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path} of more than 2 GiB", "a list of reports", "cut it in parts")
    try:
        table: pa.Table = readers[path.suffix.lower()](path)
    except (pa.ArrowException, csv.Error, UnicodeError, OverflowError, OSError) as error:
        raise InputError(
            f"{path}, which cannot be read ({type(error).__name__})", _FORMS, "write it anew"
        ) from None
    return table


def _read_parquet(path: Path) -> pa.Table:
    """By the file's own reader: ``read_table`` imports a quarter of a second of other things."""
    with pq.ParquetFile(path) as file:
        return file.read()


def _read_csv(path: Path) -> pa.Table:
    """All columns as text, empty cells as empty texts; quoted cells may hold line ends."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader([file.readline()]), [])
    kinds = dict.fromkeys(names, pa.string())
    odd: list[pcsv.InvalidRow] = []
    table = pcsv.read_csv(
        path,
        # in one block: a row must fit its block, and a report may be longer than the usual one
        read_options=pcsv.ReadOptions(
            use_threads=False, block_size=min(path.stat().st_size + 1, _LARGEST_BLOCK)
        ),
        parse_options=pcsv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=partial(_note, odd)
        ),
        convert_options=pcsv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
    )
    if odd:
        raise InputError(
            f"{odd[0].actual_columns} cells in row {odd[0].number} of {path}",
            f"{odd[0].expected_columns} as in the header",
            "quote texts that hold commas or quotes",
        )
    return table


def _note(odd: list[pcsv.InvalidRow], row: pcsv.InvalidRow) -> Literal["skip"]:
    """Keep the first row of too few or too many cells for the error to be raised."""
    if not odd:
        odd.append(row)
    return "skip"


def _read_jsonl(path: Path) -> pa.Table:
    """One object a line; other values than texts are left for the check of columns."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        rows.append(_object(path, number, line))
    names = dict.fromkeys(name for row in rows for name in row if name in (*TEXTS, *KEYS))
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"line {number} of {path}", "a JSON object", "correct the line")
    return found


def _checked(path: Path, table: pa.Table) -> pa.Table:
    for name in table.column_names:
        kind = table.schema.field(name).type
        is_key = name in KEYS and (pa.types.is_integer(kind) or pa.types.is_null(kind))
        if not is_key and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"column '{name}' of {path} as {kind}", "text", "write it as text")
    texts = table.cast(pa.schema([pa.field(name, pa.string()) for name in table.column_names]))
    try:
        texts.validate(full=True)  # Parquet's writers need not have looked
    except pa.ArrowInvalid:
        raise InputError(f"bytes in {path} that are no text", "UTF-8", "write it anew") from None
    bare = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(texts["reference"], "")), "")
    empty = pc.index(bare, value=True).as_py()
    if empty >= 0:
        raise InputError(
            f"pair {empty + 1} of {path} without a reference", "a text", "leave the pair out"
        )
    return texts


def pairs_as_predictions(pairs: pa.Table) -> pa.Table:
    """The pairs as the model's rows of a table of predictions (``evaluation.controls``)."""
    count = pairs.num_rows
    numbers = [f"{place:09}" for place in range(count)]
    given = {name: _keys(pairs, name) for name in KEYS}
    studies = [a or f"row {b}" for a, b in zip(given["study"], numbers, strict=True)]
    return pa.table(
        {
            "example_id": pa.array(numbers),
            "source": pa.array([name or "pairs" for name in given["source"]]),
            "study_id": pa.array(studies),
            "subject_id": pa.array(given["subject"], pa.string()),
            "view": pa.array(["UNKNOWN"] * count),
            "control": pa.array(["none"] * count),
            "image_study_id": pa.nulls(count, pa.string()),
            "prediction": pairs["prediction"],
            "reference": pairs["reference"],
            "finish_reason": pa.array(["stop"] * count),
        }
    )


def _keys(pairs: pa.Table, name: str) -> Sequence[str | None]:
    """A column's values, None where there is none or an empty one."""
    if name not in pairs.column_names:
        return [None] * pairs.num_rows
    return [value or None for value in pairs[name].to_pylist()]


def score_pairs(
    pairs: pa.Table,
    settings: ScoreSettings,
    blocks: Sequence[Block],
    section: str,
    cache: MetricCache | None = None,
    environment: Environment | None = None,
) -> Scores:
    """Scores of ``read_pairs``' table, with the named blocks filled.

    Args:
        environment: where published weights lie, and who counts; without it no encoder is run.
    """
    from evaluation.parts import Parts
    from evaluation.scores import score_predictions

    predictions = pairs_as_predictions(pairs)
    encoded, parts = None, None
    if environment is not None:
        parts = Parts(workers_of(environment))
        encoded = encode_table(settings.encoders, environment, predictions, cache)
    return score_predictions(
        predictions, None, settings, section, encoded=encoded, blocks=blocks, cache=cache,
        parts=parts,
    )  # fmt: skip
