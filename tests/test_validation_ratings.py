"""Ratings as files hold them: three forms, ReXVal's layout, bad rows by reason, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from validation_world import write_csv, write_rexval

from evaluation.chexprompt import KINDS
from evaluation.validation.ratings import BY_KIND, Ratings, read_ratings
from evaluation.validation.rexval import (
    CANDIDATES,
    RATINGS_FILE,
    TEXTS_FILE,
    is_rexval,
    read_rexval,
)
from infra.errors import InputError


def ratings_of(tmp_path: Path, text: str) -> Ratings:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return read_ratings(path)


LONG = """study,candidate,rater,category,significant,errors
s1,a,r1,1,true,2
s1,a,r1,omission_finding,no,1
s1,a,r1,Incorrect severity,1,3
s1,b,r1,6,False,0
s1,a,r2,2.0,TRUE,1.0
"""


def test_the_long_form_is_read_with_unnamed_counts_as_zero(tmp_path: Path) -> None:
    found = ratings_of(tmp_path, LONG)
    assert [(pair.study, pair.candidate) for pair in found.pairs] == [("s1", "a"), ("s1", "b")]
    assert found.raters == ("r1", "r2")
    assert found.kinds[0, 0].tolist() == [[2, 0, 0, 3, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert found.totals[0].tolist() == [[5, 6], [0, 0]]
    assert found.totals[1, 0].tolist() == [1, 1]
    assert np.isnan(found.totals[1, 1]).all()
    assert (found.rows_in, found.rejected) == (5, {})


def test_counts_by_kind_are_read(tmp_path: Path) -> None:
    counts = {name: place for place, name in enumerate(BY_KIND)}
    path = write_csv(
        tmp_path / "x.csv", [{"study": "s", "candidate": "c", "rater": "r", "age": "?", **counts}]
    )
    found = read_ratings(path)
    assert found.kinds[0, 0].tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert found.totals[0, 0].tolist() == [15, 66]


@pytest.mark.parametrize(
    ("columns", "cells", "totals"),
    [
        ("significant_errors,errors", "2,3", [2, 3]),
        ("significant_errors,insignificant_errors", "2,3", [2, 5]),
        ("significant_errors,insignificant_errors,errors", "2,3,5", [2, 5]),
        ("errors", "3", [np.nan, 3]),
        ("significant_errors", "1.5", [1.5, np.nan]),
    ],
)
def test_totals_tell_what_they_tell(
    tmp_path: Path, columns: str, cells: str, totals: list[float]
) -> None:
    found = ratings_of(tmp_path, f"study,candidate,rater,{columns}\ns,c,r,{cells}\n")
    assert found.totals[0, 0].tolist() == pytest.approx(totals, nan_ok=True)
    assert np.isnan(found.kinds).all()


BAD = """study,candidate,rater,category,significant,errors,reference
s1,a,r1,1,true,2,One.
,a,r1,1,true,2,
s1,a,,1,true,2,
s1,a,r1,7,true,2,
s1,a,r1,2,perhaps,2,
s1,a,r1,2,true,-1,
s1,a,r1,2,true,many,
s1,a,r1,2,true,nan,
s1,a,r1,2,true,100,
s1,a,r1,1,true,9,
s1,a,r1,3,true,1,Another.
s1,a,r1,3,true
s1,a,r1,3,true,1,,,

s1,a,r1,3,true,1,
"""


def test_bad_rows_are_counted_by_reason(tmp_path: Path) -> None:
    found = ratings_of(tmp_path, BAD)
    assert found.rejected == {
        "bad-count": 4,
        "duplicate": 1,
        "id-missing": 2,
        "ragged-row": 2,
        "text-differs": 1,
        "unknown-category": 1,
        "unknown-tier": 1,
    }
    assert found.rows_in == 14
    assert found.totals[0, 0].tolist() == [3, 3]
    assert found.pairs[0].reference == "One."


def test_more_significant_errors_than_errors_is_a_bad_count(tmp_path: Path) -> None:
    text = "study,candidate,rater,significant_errors,errors\ns,c,r,3,2\ns,c,q,1,2\n"
    assert ratings_of(tmp_path, text).rejected == {"bad-count": 1}


def test_texts_and_other_metrics_come_from_a_second_file(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "ratings.csv",
        [{"study": "s", "candidate": c, "rater": "r", "errors": 1} for c in ("a", "b", "c")],
    )
    (tmp_path / "pairs.csv").write_text(
        "study,candidate,reference,prediction,higher:RadGraph-F1,lower:RadCliQ\n"
        "s,a,Ref.,Told.,0.5,1.2\ns,b,Ref.,,n/a,inf\ns,a,Other.,,,\ns,b\nt,z,Unrated.,,1,\n"
    )
    found = read_ratings(tmp_path)
    assert [pair.prediction for pair in found.pairs] == ["Told.", None, None]
    assert found.outside["RadGraph-F1"].values.tolist() == pytest.approx(
        [0.5, np.nan, np.nan], nan_ok=True
    )
    assert (found.outside["RadGraph-F1"].higher_is_better, found.rows_in) == (True, 8)
    assert not found.outside["RadCliQ"].higher_is_better
    assert np.isnan(found.outside["RadCliQ"].values[1])
    assert found.rejected == {"ragged-row": 1, "text-differs": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"found nothing in .*; expected a header and rows; see docs/metrics\.md"),
        ("study,candidate\n", "without column 'rater'; expected columns study, candidate, rater"),
        ("study,candidate,rater\n", "without a column of counts; expected category and errors"),
        ("study,candidate,rater,insignificant_errors\n", "without a column of counts"),
        ("study,candidate,rater,category\n", "without column 'significant'"),
        ("study,candidate,rater,significant_omission_finding\n", "without column 'significant_fa"),
        ("study,candidate,rater,errors\n", r"no usable rating in .* \(no row\)"),
        ("study,candidate,rater,errors\ns,c,r,x\n,,,1\n", r"\(bad-count 1, id-missing 1\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ratings_of(tmp_path, text)


def test_a_file_that_is_no_csv_does_not_show_its_content(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(b"study,candidate\nsecret\xff\xfe report\n")
    with pytest.raises(
        InputError, match=r"UnicodeDecodeError\); expected a CSV file in UTF-8"
    ) as it:
        read_ratings(path)
    assert "secret" not in str(it.value)
    with pytest.raises(InputError, match="found no file"):
        read_ratings(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="found no file"):
        read_ratings(tmp_path / "gone")


@pytest.mark.parametrize("first", [0, 1])
def test_rexvals_layout_is_read_by_row_number(tmp_path: Path, first: int) -> None:
    folder = write_rexval(tmp_path, studies=6, raters=3, first=first)
    assert is_rexval(folder)
    found = read_rexval(folder)
    assert (len(found.pairs), found.raters) == (24, ("0", "1", "2"))
    assert (found.rows_in, found.rejected) == (6 * 4 * 3 * 12, {})
    by_name = {(pair.study, pair.candidate): place for place, pair in enumerate(found.pairs)}
    place = by_name["02", "s_emb"]
    assert found.totals[:, place].tolist() == [[2, 2], [2, 2], [3, 3]]
    assert found.kinds[2, place].tolist() == [[0, 3, 0, 0, 0, 0], [0] * 6]
    assert found.pairs[place].reference.count(".") == 5  # type: ignore[union-attr]
    assert found.pairs[place].prediction.count(".") == 3  # type: ignore[union-attr]
    assert len(KINDS) == 6 and CANDIDATES[2] == "s_emb"


def test_damaged_rexval_files_are_told(tmp_path: Path) -> None:
    folder = write_rexval(tmp_path, studies=3)
    path = folder / RATINGS_FILE
    whole = path.read_text()
    path.write_text(whole + "x,bleu,0,1,True,1\n0,human,0,1,True,1\n")
    assert read_rexval(folder).rejected == {"id-missing": 2}
    path.write_text(whole + "9,bleu,0,1,True,1\n")
    with pytest.raises(
        InputError, match=r"found study_number 0 to 9 in .*; expected rows of the 3"
    ):
        read_rexval(folder)
    path.write_text(whole.replace("num_errors", "errors", 1))
    with pytest.raises(InputError, match="without column 'num_errors'"):
        read_rexval(folder)
    path.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(InputError, match="found no study_number"):
        read_rexval(folder)
    texts = folder / TEXTS_FILE
    texts.write_text(texts.read_text() + "1,2\n")
    path.write_text(whole)
    with pytest.raises(InputError, match="cells too many or too few"):
        read_rexval(folder)
