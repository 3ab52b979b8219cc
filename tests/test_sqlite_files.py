"""Databases are changed cell by cell and written anew, so that nothing deleted is left in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.sqlite_files import cells, change_texts, is_database, rewrite

SECRET = "the zebra mark of plate 7"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as run:
        run.execute("PRAGMA journal_mode=WAL")
        run.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, data BLOB)")
        run.execute('CREATE TABLE "odd ""name" (k TEXT, n TEXT, PRIMARY KEY (k, n)) WITHOUT ROWID')
        run.execute("CREATE TABLE bare (text TEXT)")
        run.execute("INSERT INTO notes VALUES (1, ?, ?)", (f"see {SECRET}.", b"\x00\xff"))
        run.execute("INSERT INTO notes VALUES (2, 'nothing', NULL)")
        run.execute('INSERT INTO "odd ""name" VALUES (?, ?)', (SECRET, "x"))
        run.executemany("INSERT INTO bare VALUES (?)", [(SECRET,), ("plain",)])
        long = "x" * 9000 + SECRET
        run.execute("INSERT INTO notes VALUES (3, ?, NULL)", (long,))
        run.execute("DELETE FROM notes WHERE id = 3")
    return path


def test_every_text_is_changed_and_other_rows_stay(place: Path) -> None:
    assert is_database(place)
    changed = change_texts(place, lambda text: text.replace(SECRET, "gone"))
    assert changed == 3
    with closing(sqlite3.connect(place)) as run:
        assert run.execute("SELECT * FROM notes").fetchall() == [
            (1, "see gone.", b"\x00\xff"),
            (2, "nothing", None),
        ]
        assert run.execute('SELECT * FROM "odd ""name"').fetchall() == [("gone", "x")]
        assert sorted(run.execute("SELECT * FROM bare").fetchall()) == [("gone",), ("plain",)]
    left = b"".join(path.read_bytes() for path in place.parent.glob("a.db*"))
    assert SECRET.encode() not in left


def test_what_was_deleted_before_stays_until_it_is_written_anew(place: Path) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as run:
        run.execute("PRAGMA secure_delete=OFF")  # some systems build SQLite with it on
        for table in ("notes", '"odd ""name"', "bare"):
            run.execute(f"DELETE FROM {table}")
        run.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert SECRET.encode() in place.read_bytes()
    rewrite(place)
    assert SECRET.encode() not in place.read_bytes()


def test_a_dry_run_counts_alone(place: Path) -> None:
    assert change_texts(place, lambda text: text.replace(SECRET, "gone"), dry_run=True) == 3
    assert any(SECRET.encode() in cell for _, cell in cells(place))


def test_a_database_in_use_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.sqlite_files.BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(place, isolation_level=None)) as run:
        run.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match=r"that cannot be changed \(SQLITE_BUSY\)"):
            change_texts(place, lambda text: "")


def test_other_files_are_none(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("text", b"SQLite is a library"), ("a.db-wal", b"x")):
        (tmp_path / name).write_bytes(content)
        assert not is_database(tmp_path / name)
