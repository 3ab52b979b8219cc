"""Backups of a stack: what is copied, in which order, and what is refused at a restore."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.errors import CxrError, InputError
from infra.stack import backup
from infra.stack.backup import (
    back_up,
    copy_objects,
    copy_stack,
    copy_tree,
    count_rows,
    run_program,
)
from infra.stack.backup_record import MANIFEST, describe, read_backup
from infra.stack.control import bring_up
from infra.stack.databases import make_databases
from infra.stack.object_files import ObjectFiles
from infra.stack.place import UNFINISHED, Place, make_place
from infra.stack.restore import restore, server_alone

PIECE = {"folder": "studies/a-1/p0", "files": [{"name": "rows", "bytes": 4}]}
ARTIFACT = json.dumps({"pieces": [PIECE]})


def put(objects: Path, key: str, data: str, bucket: str = "cxrflow") -> None:
    files = ObjectFiles(objects)
    files.make_bucket(bucket)
    written = files.partial()
    written.write_text(data)
    files.publish(written, files.place(bucket, key), new=False)


def fill(place: Place) -> None:
    """An artifact, a model's file, a paid answer, and what is not kept."""
    put(place.root / "objects", "data/studies/a-1/p0/rows", "rows")
    put(place.root / "objects", "data/studies/a-1/manifest.json", ARTIFACT)
    put(place.root / "objects", "artifacts/MLmodel", "model", "mlflow")
    with closing(sqlite3.connect(place.root / "state" / "answers.sqlite")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE answers (text TEXT)")
        database.execute("INSERT INTO answers VALUES ('paid')")
        database.commit()
    for name in ("locks", "stages"):
        (place.root / "state" / name).mkdir()
        (place.root / "state" / name / "x").write_text("x")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A stack of which PostgreSQL alone is up, with a table in each database."""
    import asyncio

    top = tmp_path_factory.mktemp("backup")
    for folder in (top, top.parent):
        folder.chmod(0o711)
    place = make_place(top / "stack")
    fill(place)
    with server_alone(place):
        asyncio.run(make_databases(place))
        for name, table in (("prefect", "flow_run"), ("mlflow", "runs")):
            sql = f"CREATE TABLE {table} (id int); INSERT INTO {table} VALUES (1), (2)"
            asked = f"SET ROLE {name}; {sql}"
            run_program(place, "psql", "--no-psqlrc", f"--dbname={name}", f"--command={asked}")
        yield place


@pytest.fixture(scope="module")
def whole(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("whole") / "backup"
    copy_stack(place, target)
    return target


def test_a_backup_holds_what_counts_and_no_password(whole: Path, place: Place) -> None:
    told = read_backup(whole)
    assert told.counts == {
        "flow runs": 2,
        "runs in MLflow": 2,
        "deployments": 0,
        "model versions": 0,
        "aliases": 0,
        "objects": 3,
        "artifacts": 1,
    }
    assert told.lacking == ()
    assert {name for name in told.files if not name.startswith("objects/")} == {
        "databases/prefect.dump",
        "databases/mlflow.dump",
        "state/answers.sqlite",
    }
    text = b"".join(path.read_bytes() for path in whole.rglob("*") if path.is_file())
    assert not [word for word in place.passwords.values() if word.encode() in text]
    assert stat.S_IMODE(whole.stat().st_mode) == 0o700


def test_a_restored_stack_holds_the_same(whole: Path, place: Place, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o711)
    root = tmp_path / "again"
    restore(whole, root)
    fresh = make_place(root)
    assert fresh.passwords.keys() == place.passwords.keys()
    assert not set(fresh.passwords.values()) & set(place.passwords.values())
    for name in ("objects", "state"):
        there = {key: one for key, one in describe(root).items() if key.startswith(f"{name}/")}
        kept = {f"objects/{k}" if name == "objects" else k: v for k, v in describe(whole).items()}
        assert there == {key: one for key, one in kept.items() if key in there}
        assert there
    assert not (root / UNFINISHED).exists()
    assert read_backup(whole).files == describe(whole), "a backup can be restored again"
    with server_alone(fresh):
        assert count_rows(fresh, "prefect", "flow_run") == 2
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'runs'"
        words = ("--no-psqlrc", "-tA", "--dbname=mlflow", f"--command={owner}")
        assert run_program(fresh, "psql", *words).strip() == "mlflow"
    with pytest.raises(InputError, match=r"something at .*; expected a folder without a stack"):
        restore(whole, root)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "without its manifest": (lambda at: (at / MANIFEST).unlink(), "found no backup.json in"),
    "a manifest cut off": (lambda at: cut(at / MANIFEST), "found a damaged .*backup.json"),
    "a manifest that says another number": (
        lambda at: (at / MANIFEST).write_text(
            (at / MANIFEST).read_text().replace('"flow runs": 2', '"flow runs": 3')
        ),
        "found a damaged .*backup.json",
    ),
    "a manifest that is a list": (
        lambda at: (at / "backup.json").write_text("[]"),
        "found a damaged .*backup.json",
    ),
    "a dump cut off": (lambda at: cut(at / "databases/mlflow.dump"), "mlflow.dump with .* bytes"),
    "one bit": (lambda at: flip(at / "databases/prefect.dump"), "with other bytes than were"),
    "a lost file": (lambda at: (at / "state/answers.sqlite").unlink(), "found no state/answers"),
    "a file too many": (lambda at: (at / "state/x").write_text("x"), "which is no part of the"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_backup_is_refused_in_a_line_before_anything_is_written(
    whole: Path, tmp_path: Path, kind: str
) -> None:
    damage, line = DAMAGE[kind]
    shutil.copytree(whole, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(InputError, match=line):
        restore(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_backup_of_another_version_or_a_later_postgresql_is_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.stack.restore.postgres_version", lambda: "12.1")
    with pytest.raises(InputError, match=r"a backup of PostgreSQL \d+.*; expected at most 12.1"):
        restore(whole, tmp_path / "again")
    monkeypatch.setattr("infra.stack.backup_record.VERSION", 2)
    with pytest.raises(InputError, match="a backup of version 1"):
        restore(whole, tmp_path / "again")


def test_a_restore_that_was_killed_is_begun_anew_and_no_stack_until_then(
    whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "again"
    make_place(root)
    (root / UNFINISHED).touch()
    (root / "objects" / "half").write_text("half")
    with pytest.raises(InputError, match=r"found a restore into .* that was not finished"):
        bring_up(root, ("true",), 1, lambda seen: None)
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o711)
    restore(whole, root)
    assert not (root / "objects" / "half").exists()


def test_a_target_that_is_not_empty_and_a_stack_that_is_down_are_refused(
    place: Place, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="found a stopped stack at"):
        back_up(place.root, tmp_path / "new")
    (tmp_path / "x").write_text("x")
    for target in (tmp_path, tmp_path / "x"):
        with pytest.raises(InputError, match="expected a new or empty folder"):
            copy_stack(place, target)


def test_a_disk_without_room_is_told_before(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"found 0.0 GB free at"):
        copy_stack(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_program_that_fails_is_one_line_without_a_password(place: Place) -> None:
    with pytest.raises(CxrError, match="psql ended with 1 and says: ") as caught:
        run_program(place, "psql", "--no-psqlrc", "--command=SELECT nothing", "prefect")
    assert place.passwords["postgres"] not in str(caught.value)


def test_what_is_written_meanwhile_never_leaves_a_manifest_without_its_pieces(
    tmp_path: Path,
) -> None:
    """Pieces are written first, manifests after them; the copy takes them the other way round."""
    objects, stop = tmp_path / "objects", threading.Event()
    put(objects, "data/kind/a-0/manifest.json", '{"pieces": []}')

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            folder = f"studies/a-{number}/p0"
            put(objects, f"data/{folder}/rows", "rows")
            told = {"pieces": [{"folder": folder, "files": PIECE["files"]}]}
            put(objects, f"data/studies/a-{number}/manifest.json", json.dumps(told))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copied = 0
        for number in range(200):
            assert copy_objects(objects / "objects", tmp_path / f"copy{number}") == ()
            copied = len(list((tmp_path / f"copy{number}").rglob("manifest.json@")))
            if copied > 5:
                break
        assert copied > 5
    finally:
        stop.set()
        writer.join()


def test_an_artifact_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    put(tmp_path, "data/studies/a-1/manifest.json", ARTIFACT)
    assert copy_objects(tmp_path / "objects", tmp_path / "copy") == ("studies/a-1",)


def test_a_database_is_copied_while_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    path = tmp_path / "from" / "a.sqlite"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed
        copy_tree(tmp_path / "from", tmp_path / "to")
    assert [each.name for each in (tmp_path / "to").iterdir()] == ["a.sqlite"]
    with closing(sqlite3.connect(tmp_path / "to" / "a.sqlite")) as copy:
        assert copy.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_folders_that_vanish_while_they_are_read_are_no_error(tmp_path: Path) -> None:
    """As PostgreSQL's, or a stage's of the state folder, do on a stack that is at work."""
    source, stop = tmp_path / "from", threading.Event()
    for number in range(50):
        (source / "top" / f"{number:02d}" / "kept").mkdir(parents=True)
        (source / "top" / f"{number:02d}" / "kept" / "x").write_text("x")

    def come_and_go() -> None:
        while not stop.is_set():
            for number in range(50):
                (source / "top" / f"{number:02d}" / "gone" / "y").mkdir(parents=True)
            for number in range(50):
                shutil.rmtree(source / "top" / f"{number:02d}" / "gone")

    worker = threading.Thread(target=come_and_go)
    worker.start()
    try:
        for number in range(30):
            copy_tree(source, tmp_path / f"tree{number}")
            copy_objects(source, tmp_path / f"objects{number}")
            assert len(list((tmp_path / f"tree{number}").rglob("x"))) == 50
    finally:
        stop.set()
        worker.join()


def test_links_and_files_that_vanish_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "from" / "pipe")
    copy_tree(tmp_path / "from", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
