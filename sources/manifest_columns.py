"""The columns of ``manifest.csv``: names, accepted words, and what is wrong with a row."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.errors import SourceError
from sources.record import OBSERVATIONS, SECTIONS
from sources.tables import query, read_csv, sql_name, sql_text

REQUIRED: Final = ("image_path", "study_id")
OPTIONAL: Final = (
    *("subject_id", "view", "split", "report", "language", *SECTIONS),
    *("age", "sex", "date", "manufacturer", "site", *OBSERVATIONS),
)
VIEW_WORDS: Final = {
    "ap": "AP",
    "pa": "PA",
    **dict.fromkeys(("lateral", "lat", "l", "ll", "rl"), "LATERAL"),
    "unknown": "UNKNOWN",
}
SPLIT_WORDS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validate", "validation", "valid", "val", "dev"), "validate"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SEX_WORDS: Final = {
    **dict.fromkeys(("f", "female"), "F"),
    **dict.fromkeys(("m", "male"), "M"),
    **dict.fromkeys(("o", "other"), "O"),
    **dict.fromkeys(("u", "unknown"), None),
}
LABEL_WORDS: Final = {
    **dict.fromkeys(("1", "1.0", "positive"), "1"),
    **dict.fromkeys(("0", "0.0", "negative"), "0"),
    **dict.fromkeys(("-1", "-1.0", "uncertain"), "-1"),
    "unmentioned": None,
}
LANGUAGE_WORDS: Final = {
    **dict.fromkeys(("en", "en-us", "en-gb", "english"), "en"),
    **dict.fromkeys(("es", "es-es", "es-mx", "es-ar", "spanish", "español", "espanol"), "es"),
    **dict.fromkeys(("pt", "pt-br", "pt-pt", "portuguese", "português", "portugues"), "pt"),
    **{
        code: code
        for code in """
        aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da
        de dv dz ee el eo et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia
        id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln
        lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa
        pi pl ps qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th
        ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
        """.split()  # noqa: SIM905
    },
}
"""ISO 639-1's codes, and other words for the three languages that are read here."""
_TOO_CLOSE: Final = 0.85
"""Similarity (difflib ratio) of an unread column to an absent one that counts as a slip of the pen:
``finding`` for ``findings`` is 0.93, for ``No Finding`` 0.82. Our choice."""


def read_manifest(path: Path) -> pa.Table:
    """All columns as text, absent ones null, in the order REQUIRED + OPTIONAL, then ``row``.

    Raises:
        SourceError: a table that cannot be read, or a column that seems misspelt.
    """
    table = read_csv(path, REQUIRED, optional=OPTIONAL, keep_rest=True)
    known = (*REQUIRED, *OPTIONAL)
    unread = [name for name in table.column_names if name not in known]
    absent = {name.lower(): name for name in OPTIONAL if table[name].null_count == len(table)}
    for name in unread:
        close = get_close_matches(name.lower(), absent, n=1, cutoff=_TOO_CLOSE)
        if close:
            raise SourceError(
                f"column '{name}' in {path}",
                f"'{absent[close[0]]}', or a name that resembles no column of a manifest",
                "rename the column; see 'Your own data' in docs/sources.md",
            )
    rows = pa.array(range(table.num_rows), pa.int64())
    return table.select(known).append_column("row", rows)


def word_sql(column: str, words: Mapping[str, str | None]) -> str:
    """What a cell means: null for blank and for words that mean nothing or are not known."""
    cases = " ".join(
        f"WHEN {sql_text(word)} THEN {sql_text(meaning)}"
        for word, meaning in words.items()
        if meaning is not None
    )
    return f"CASE lower(trim({sql_name(column)})) {cases} END"


AGE_SQL: Final = "TRY_CAST(regexp_extract(trim(age), '^([0-9]+([.][0-9]+)?)[Yy]?$', 1) AS FLOAT)"
DATE_SQL: Final = (
    "CAST(coalesce(try_strptime(trim(date), '%Y-%m-%d'), try_strptime(trim(date), '%Y%m%d'))"
    " AS DATE)"
)


def faulty_rows(table: pa.Table) -> pa.Table:
    """Columns ``row`` and ``fault``: the first cell of a row that cannot be understood.

    The fault names the row, the column and what was expected, never the cell.
    """
    checks = [
        _word_check("split", SPLIT_WORDS, "train, validate or test"),
        _word_check("sex", SEX_WORDS, "F, M, O or unknown"),
        _word_check("language", LANGUAGE_WORDS, "an ISO 639-1 code such as en, es or pt"),
        _check("age", f"coalesce({AGE_SQL} > 120, {AGE_SQL} IS NULL)", "years from 0 to 120"),
        _check("date", f"coalesce(year({DATE_SQL}) = 0, true)", "YYYY-MM-DD"),
    ]
    checks += [_word_check(name, LABEL_WORDS, "1, 0, -1 or blank") for name in OBSERVATIONS]
    return query(
        f"""SELECT "row", 'row ' || ("row" + 1) || ', column ' || fault AS fault
            FROM (SELECT "row", coalesce({", ".join(checks)}) AS fault FROM manifest)
            WHERE fault IS NOT NULL""",
        manifest=table,
    )


def _word_check(column: str, words: Mapping[str, str | None], expected: str) -> str:
    accepted = ", ".join(sql_text(word) for word in words)
    return _check(column, f"lower(trim({sql_name(column)})) NOT IN ({accepted})", expected)


def _check(column: str, is_wrong: str, expected: str) -> str:
    given = f"trim(coalesce({sql_name(column)}, '')) <> ''"
    message = sql_text(f"'{column}': expected {expected}")
    return f"CASE WHEN {given} AND {is_wrong} THEN {message} END"
