"""Back a running stack up, while runs go on, and restore it into a new folder.

What refers to something is read before what it refers to, so that a backup never points at what it
does not hold: both databases, each in one snapshot of PostgreSQL; then the artifacts' manifests,
then all other objects, which were there before the manifests that name them. SQLite files are
copied by SQLite. Nothing is locked for a run but 'cxr gc', which would remove what was just read.
Work that is not finished (checkpoints of stages) and what can be fetched again are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from filelock import FileLock

from infra.errors import CxrError, InputError
from infra.occupancy import enter
from infra.sqlite_files import BESIDE, is_database
from infra.stack.addresses import DATA_BUCKET
from infra.stack.backup_record import DATABASES, Backup, describe, write_backup
from infra.stack.control import require_stack
from infra.stack.databases import DATABASES as DATABASE_NAMES
from infra.stack.place import LOOPBACK, Place
from infra.stack.postgres import SUPERUSER, programs
from infra.store import explained_place

GATE: Final = "locks/gc.lock"
"""Of the state folder: held by 'cxr gc' and, for a moment, by a run's first step."""
_MANIFEST: Final = "manifest.json@"
NOT_KEPT: Final = {
    "state": ("locks", "downloads", ".scratch", "stages", "in-use.lock", "control"),
    "prefect": ("concurrency_leases", "storage"),
}
"""Below each folder: locks, what is fetched or worked out again, and leases of runs that will not
be at work on the restored stack."""
_COUNTED: Final = {
    "flow runs": ("prefect", "flow_run"),
    "deployments": ("prefect", "deployment"),
    "runs in MLflow": ("mlflow", "runs"),
    "model versions": ("mlflow", "model_versions"),
    "aliases": ("mlflow", "registered_model_aliases"),
}


def back_up(root: Path, target: Path) -> Backup:
    """Write a backup of the stack at ``root`` into a new or empty folder.

    Raises:
        InputError: the stack is not up, the folder is not empty, or the disk has no room.
        CxrError: PostgreSQL's program fails.
    """
    return copy_stack(require_stack(root), target)


def copy_stack(place: Place, target: Path) -> Backup:
    """The same of a stack whose PostgreSQL is known to be up.

    Raises:
        InputError, CxrError: as ``back_up``.
    """
    _require_empty(target)
    _require_room(place, target)
    with explained_place(str(target)):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.chmod(0o700)
        enter(place.root / "state")  # 'cxr forget' would rewrite what is being read
        counts = dump_databases(place, target / DATABASES)
        with FileLock(_gate(place)):
            lacking = copy_objects(place.root / "objects" / "objects", target / "objects")
        for name, without in NOT_KEPT.items():
            copy_tree(place.root / name, target / name, without)
        files = describe(target)
        counts["objects"] = sum(name.startswith("objects/") for name in files)
        counts["artifacts"] = len(list(_manifests(target / "objects")))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        backup = Backup(created, postgres_version(), counts, lacking, files)
        write_backup(target, backup)
    return backup


def _gate(place: Place) -> Path:
    gate = place.root / "state" / GATE
    gate.parent.mkdir(parents=True, exist_ok=True)
    return gate


def _require_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"something at {target}", "a new or empty folder", "name another")


def _require_room(place: Place, target: Path) -> None:
    there = target
    while not there.exists():
        there = there.parent
    needed = sum(_bytes_below(place.root / name) for name in ("objects", "state", "postgres"))
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{free / 1e9:.1f} GB free at {there}",
            f"{needed / 1e9:.1f} GB, which the stack takes",
            "name a folder on another disk",
        )


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in _paths_below(folder):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total


def _paths_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that others write to: what vanishes meanwhile is left out, and
    what cannot be read is an error, for a backup without it would not be whole."""
    for top, folders, files in os.walk(folder, onerror=_raise_unless_vanished):
        yield from (Path(top, name) for name in sorted((*folders, *files)))


def _raise_unless_vanished(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def dump_databases(place: Place, folder: Path) -> dict[str, int]:
    """Both databases in PostgreSQL's own format; how many rows of a kind they hold."""
    folder.mkdir(mode=0o700)
    for name in DATABASE_NAMES:
        run_program(place, "pg_dump", "--format=custom", f"--file={folder / f'{name}.dump'}", name)
    return {what: count_rows(place, *asked) for what, asked in _COUNTED.items()}


def count_rows(place: Place, database: str, table: str) -> int:
    """How many rows a table has; none where MLflow, which makes its tables when it is first used,
    has not made it yet."""
    words = ("--no-psqlrc", "-tA", f"--dbname={database}")
    there = run_program(place, "psql", *words, f"--command=SELECT to_regclass('{table}')")
    if not there.strip():
        return 0
    return int(run_program(place, "psql", *words, f"--command=SELECT count(*) FROM {table}"))


def run_program(place: Place, program: str, *words: str) -> str:
    """One of PostgreSQL's programs, at the stack's own server; what it says.

    Raises:
        CxrError: it fails.
    """
    login = {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "PGHOST": LOOPBACK,
        "PGPORT": str(place.ports["postgres"]),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": place.passwords["postgres"],
    }
    done = subprocess.run(
        [str(programs() / program), *words],
        env=login,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[0]
        raise CxrError(f"{program} ended with {done.returncode} and says: {said}")
    return done.stdout


def postgres_version() -> str:
    """The server's programs' version."""
    said = subprocess.run(
        [str(programs() / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return said.stdout.strip().rpartition(" ")[2]


def copy_objects(objects: Path, target: Path) -> tuple[str, ...]:
    """Manifests first, then all else but younger manifests; artifacts that lack an object."""
    target.mkdir(parents=True)
    for path in list(_manifests(objects)):
        _copy(path, target / path.relative_to(objects))
    for path in list(_paths_below(objects)):
        if path.is_dir():
            (target / path.relative_to(objects)).mkdir(parents=True, exist_ok=True)
        elif path.name != _MANIFEST:
            _copy(path, target / path.relative_to(objects))
    return tuple(_lacking(target))


def _manifests(objects: Path) -> Iterator[Path]:
    return (path for path in _paths_below(objects) if path.name == _MANIFEST and path.is_file())


def _lacking(objects: Path) -> Iterator[str]:
    """Artifacts of the data root whose manifest names a file that is not there."""
    data = objects / DATA_BUCKET / "data"
    for path in sorted(data.glob(f"*/*/{_MANIFEST}")):
        told = json.loads(path.read_text(encoding="utf-8"))
        held = ((piece["folder"], file) for piece in told["pieces"] for file in piece["files"])
        for folder, file in held:
            place = data / folder / f"{file['name']}@"
            if not place.is_file() or place.stat().st_size != file["bytes"]:
                yield unquote(path.parent.relative_to(data).as_posix())
                break


def copy_tree(source: Path, target: Path, without: Sequence[str] = ()) -> None:
    """Copy a folder that others may be writing to; top-level names in ``without`` are left out."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for top in sorted(source.iterdir()):
        if top.name in without:
            continue
        paths = [top] if not top.is_dir() else list(_paths_below(top))
        for path in paths:
            if path.is_file() and not path.is_symlink():
                _copy(path, target / path.relative_to(source))


def _copy(path: Path, target: Path) -> None:
    """One file, if it is still there; a database by SQLite, which copies one moment of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError, IsADirectoryError):  # a folder that went and came again
        if path.name.endswith(BESIDE) and is_database(path.with_name(_without_tail(path.name))):
            return
        if not is_database(path):
            shutil.copy2(path, target)
            return
        with (
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
        shutil.copymode(path, target)


def _without_tail(name: str) -> str:
    tail = next(each for each in BESIDE if name.endswith(each))
    return name.removesuffix(tail)
