"""Which rows and which bytes are a subject's, and counts of pieces that were written anew."""

from __future__ import annotations

import base64
import gzip
import json
import zipfile
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from infra.parquet import write_table
from infra.pieces import Count
from sources.record import REJECTED_SCHEMA
from tasks.forget.dossier import Dossier, drop_dossier, read_dossier, unfinished, write_dossier
from tasks.forget.needles import Needles, is_long, only_theirs, probe_of, sentences_of
from tasks.forget.rows import _facts, _filter_file, _less
from tasks.forget.search import kinds_in_file
from tasks.forget.tables import Theirs

FILM = b"\xff\xd8\xff\xe0" + Random(1).randbytes(400)
SENTENCE = "a café stands beside the zebra mark"


def known(**changes: object) -> Dossier:
    told: dict[str, object] = {
        "sources": ("mimic_cxr", "rrg24"),
        "subjects": {"7"},
        "studies": {"s/1", "50414267"},
        "images": {"i1"},
    }
    return Dossier("mimic_cxr", "7", **{**told, **changes})  # type: ignore[arg-type]


def needles() -> Needles:
    probe = probe_of(FILM)
    assert probe is not None
    return Needles(
        frozenset({"50414267"}),
        frozenset({"files/p7/film.jpg"}),
        frozenset({SENTENCE}),
        frozenset({probe}),
        frozenset({xxhash.xxh3_128_hexdigest(FILM)}),
    )


ROWS = [
    ("mimic_cxr", "s/1", "9", "e", True),
    ("mimic_cxr", "x", "7", "e", True),
    ("chexpert", "x", "7", "e", False),
    ("chexpert", "50414267", "1", "e", False),
    ("mimic_cxr", "x", None, "mimic_cxr/s%2F1/i/keep", True),
    ("mimic_cxr", "x", "1", "rrg24/50414267/i/keep/drawn", True),
    ("mimic_cxr", "x", "1", "mimic_cxr/504142671/i/keep", False),
]


@pytest.mark.parametrize(("source", "study", "subject", "example", "theirs"), ROWS)
def test_a_row_is_told_by_its_ids(
    source: str, study: str, subject: str | None, example: str, theirs: bool
) -> None:
    row = {"source": source, "study_id": study, "subject_id": subject, "example_id": example}
    assert Theirs(known()).rows(pa.Table.from_pylist([row])).to_pylist() == [theirs]


def test_a_row_that_shows_their_picture_is_theirs() -> None:
    shown = [[{"image_id": "i1"}], [{"image_id": "i2"}], []]
    table = pa.table({"source": ["mimic_cxr"] * 3, "study_id": ["a", "b", "c"], "images": shown})
    assert Theirs(known()).rows(table).to_pylist() == [True, False, False]
    table = pa.table({"source": ["mimic_cxr"] * 2, "image_ids": [["i2", "i1"], None]})
    assert Theirs(known()).rows(table).to_pylist() == [True, False]


def test_drawings_are_told_by_their_prompt() -> None:
    table = pa.table({"prompt_id": ["mimic_cxr/50414267/i/keep", "mimic_cxr/1/i/keep"]})
    assert Theirs(known()).rows(table).to_pylist() == [True, False]


DETAILS = [
    ("subject also in test: study s/1", "subject also in test: withdrawn"),
    ("40 bits from mimic_cxr study 50414267 image i1 in test",
     "40 bits from mimic_cxr withdrawn withdrawn in test"),
    ("no file at files/p50414267/x.jpg", "no file at files/pwithdrawn/x.jpg"),
    ("study s/11 and 504142670", "study s/11 and 504142670"),
    ("found 7 studies", "found 7 studies"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "left"), DETAILS)
def test_others_rows_name_them_no_more(told: str, left: str) -> None:
    row = {**dict.fromkeys(REJECTED_SCHEMA.names, "other"), "detail": told}
    table = Theirs(known()).redacted(pa.Table.from_pylist([row], schema=REJECTED_SCHEMA))
    assert table["detail"].to_pylist() == [left]


@pytest.mark.parametrize(
    ("identifier", "long"),
    [("10000032", True), ("1234567", False), ("CXR12", False), ("patient1", True), ("", False)],
)
def test_short_ids_are_searched_for_in_tables_alone(identifier: str, long: bool) -> None:
    assert is_long(identifier) == long


FOUND = [
    (b"see p50414267/", {"id"}),
    (b"150414267 504142671 0.50414267", set()),
    (b'{"uri": "files/p7/film.jpg"}', {"path or digest"}),
    (json.dumps({"t": "A caf\u00e9 stands\nbeside the Zebra mark."}).encode(), {"text"}),
    ("<p>a café  stands beside the zebra mark</p>".encode(), {"text"}),
    (b"x" * 99 + FILM[30:300] + b"y", {"picture"}),
    (b"<img src='data:image/jpeg;base64," + base64.b64encode(FILM) + b"'>", {"picture"}),
    (b"a cafe stands beside the zebra mark", set()),
]


@pytest.mark.parametrize(("data", "kinds"), FOUND)
def test_bytes_are_searched_plain_and_packed(data: bytes, kinds: set[str], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(data)
    assert kinds_in_file(plain, needles()) == kinds
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"0" * 1000 + data))
    assert kinds_in_file(tmp_path / "packed.gz", needles()) >= kinds - {"picture"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", data)
    assert kinds_in_file(tmp_path / "a.zip", needles()) == kinds
    table = pa.table({"deep": [[{"data": data}]], "more": [None]})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd", use_dictionary=False)
    assert kinds_in_file(tmp_path / "t.parquet", needles()) == kinds


def test_ids_in_neighbouring_cells_are_not_run_together(tmp_path: Path) -> None:
    pq.write_table(pa.table({"study_id": ["50414266", "50414267", "50414268"]}), tmp_path / "t")
    assert kinds_in_file(tmp_path / "t", needles()) == {"id"}


def test_a_needle_between_two_blocks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.forget.search._BLOCK_BYTES", 64)
    for start in range(40, 75):
        (tmp_path / "f").write_bytes(b"." * start + b" 50414267 " + b"." * 90)
        assert kinds_in_file(tmp_path / "f", needles()) == {"id"}


def test_sentences_that_others_have_are_nobodys() -> None:
    own = list(sentences_of("The heart is of normal size. A zebra mark of plate seven.\n Clear."))
    assert own == ["the heart is of normal size", "a zebra mark of plate seven"]
    assert only_theirs(own, [b"lungs clear.\nthe heart is of normal size. no"]) == {own[1]}


def test_a_blank_picture_has_no_probe() -> None:
    assert probe_of(bytes(500)) is None
    assert probe_of(b"short") is None


def test_words_are_replaced_wherever_they_stand() -> None:
    found = needles()
    assert found.without("study p50414267 again", "X") == "study pX again"
    assert found.without("at files/p7/film.jpg", "X") == "at X"
    assert found.without('{"a": "A caf\\u00e9 stands\\nbeside the zebra mark."}', "X") == "X"
    assert found.without("nothing of theirs", "X") == "nothing of theirs"


def test_a_control_that_shows_their_film_is_told_from_their_own_rows(tmp_path: Path) -> None:
    def shown(study: str, film: str | None) -> bool:
        row = {"source": "mimic_cxr", "study_id": study, "example_id": f"mimic_cxr/{study}/i/keep"}
        pq.write_table(pa.Table.from_pylist([{**row, "image_study_id": film}]), tmp_path / "t")
        with pq.ParquetFile(tmp_path / "t") as file:
            return Theirs(known()).shown_to_others(file)

    assert shown("x", "50414267")
    assert not shown("50414267", "50414267")
    assert not shown("50414267", "x")
    assert not shown("x", None)


def test_a_file_keeps_its_row_groups_and_its_other_rows(tmp_path: Path) -> None:
    rows = [
        {"source": "mimic_cxr", "study_id": "50414267" if place % 3 else f"x{place}", "n": place}
        for place in range(20)
    ]
    table = pa.Table.from_pylist(rows)
    for size, name in ((4, "test-000.parquet"), (100, "predictions.parquet")):
        write_table(tmp_path / name, table, row_group_rows=size)
        dropped = _filter_file(tmp_path / name, tmp_path / f"new-{name}", Theirs(known()))
        assert dropped is not None
        left = pq.read_table(tmp_path / f"new-{name}")
        assert left["n"].to_pylist() == list(range(0, 20, 3))
        assert dropped.num_rows + left.num_rows == 20
        groups = pq.read_metadata(tmp_path / f"new-{name}").num_row_groups
        assert groups == (2 if size == 4 else 1)


def test_a_shard_of_which_nothing_is_left_is_not_written(tmp_path: Path) -> None:
    table = pa.table({"source": ["mimic_cxr"], "study_id": ["50414267"]})
    for name in ("train-000.parquet", "rejected.parquet"):
        write_table(tmp_path / name, table)
        (tmp_path / "new").mkdir(exist_ok=True)
        _filter_file(tmp_path / name, tmp_path / "new" / name, Theirs(known()))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rejected.parquet"]
    assert _facts({"shards": {"train": 1, "test": 2}}, tmp_path / "new") == {
        "shards": {"train": 0, "test": 0}
    }


LOSSES = [
    ("images/a/p", Count("images", 9, 7, {"file-missing": 2}), (6, 5, {"file-missing": 1})),
    ("reports/a/p", Count("studies to keep", 5, 4, {"no-report": 1}), (4, 3, {"no-report": 1})),
    ("reports/a/p", Count("studies to structure", 5, 4, {"refused": 1}), (4, 4, {})),
    ("predictions/a/p", Count("predictions", 8, 8), (6, 6, {})),
]


@pytest.mark.parametrize(("folder", "count", "left"), LOSSES)
def test_counts_are_as_if_they_had_never_been_there(
    folder: str, count: Count, left: tuple[int, int, dict[str, int]]
) -> None:
    rejected = [{"row_id": "s/structure", "study_id": "s", "level": "text", "reason": "refused"}]
    if folder.startswith("images"):
        rejected = [{"row_id": "i", "study_id": "s", "level": "image", "reason": "file-missing"}]
    main = pa.Table.from_pylist([{"study_id": "s", "version": "keep"}] * 2)
    fresh = _less(folder, count, {"main.parquet": main, "rejected.parquet": pa.Table.from_pylist(
        [] if folder.startswith("predictions") else rejected)})  # fmt: skip
    assert (fresh.rows_in, fresh.kept, dict(fresh.rejected)) == left


def test_a_dossier_comes_back_as_it_was_and_leaves_nothing(tmp_path: Path) -> None:
    dossier = known(texts={"a", "b"}, learned={"stages/x": "monday"}, how={"stages/x": "learned"})
    place = write_dossier(tmp_path, dossier)
    assert place.stat().st_mode & 0o077 == 0
    assert "7" not in place.stem.replace("7", "") and unfinished(tmp_path) == 1
    assert read_dossier(tmp_path, "mimic_cxr", "7", ()) == dossier
    assert read_dossier(tmp_path, "mimic_cxr", "8", ()) is None
    drop_dossier(tmp_path, dossier)
    assert list(tmp_path.iterdir()) == []
