"""Make a stack's folder from a backup; ``cxr stack up`` then starts it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from infra.errors import CxrError, InputError
from infra.stack.backup import postgres_version, run_program
from infra.stack.backup_record import DATABASES, Backup, read_backup
from infra.stack.control import supervisor_of
from infra.stack.databases import DATABASES as DATABASE_NAMES
from infra.stack.databases import make_databases
from infra.stack.object_files import ObjectFiles
from infra.stack.place import UNFINISHED, Place, make_place, read_place
from infra.stack.postgres import (
    account_for,
    make_cluster,
    programs,
    server_command,
    server_environment,
)
from infra.store import explained_place

_PATIENCE_SECONDS: Final = 60.0
"""Our choice: a new cluster answers within seconds."""
_STOP_SECONDS: Final = 60.0


def restore(backup_folder: Path, root: Path) -> Backup:
    """Make the stack that a backup tells of, in a folder that holds none; passwords and ports are
    new ones.

    Raises:
        InputError: the backup is damaged or not whole, of a later PostgreSQL, or a stack is there.
        CxrError: PostgreSQL's programs fail.
    """
    backup = read_backup(backup_folder)
    _require_postgres(backup)
    _clear(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / UNFINISHED).touch()
    place = make_place(root)
    with explained_place(str(root)):
        ObjectFiles(place.root / "objects")
        shutil.copytree(
            backup_folder / "objects", place.root / "objects" / "objects", dirs_exist_ok=True
        )
        for name in ("state", "prefect"):  # byte by byte: SQLite would write beside what it reads
            shutil.copytree(backup_folder / name, place.root / name, dirs_exist_ok=True)
        with server_alone(place):
            asyncio.run(make_databases(place))
            for name in DATABASE_NAMES:
                _load(place, name, backup_folder / DATABASES / f"{name}.dump")
    (root / UNFINISHED).unlink()
    return backup


def _require_postgres(backup: Backup) -> None:
    own = postgres_version()
    if int(backup.postgres.split(".")[0]) > int(own.split(".")[0]):
        raise InputError(
            f"a backup of PostgreSQL {backup.postgres}",
            f"at most {own}, which is here",
            "install what wrote it",
        )


def _clear(root: Path) -> None:
    """Remove what a restore that was killed has left; anything else stays and is refused."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    if not (root / UNFINISHED).is_file():
        raise InputError(f"something at {root}", "a folder without a stack", "name another")
    with suppress(InputError):
        if supervisor_of(read_place(root)) is not None:
            raise CxrError(f"a stack is at work in {root}")
    _end_server(root)
    shutil.rmtree(root)


def _load(place: Place, name: str, dump: Path) -> None:
    """All or nothing; what it makes belongs to the database's own role."""
    words = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
    run_program(place, "pg_restore", *words, f"--role={name}", f"--dbname={name}", str(dump))


@contextmanager
def server_alone(place: Place) -> Iterator[None]:
    """PostgreSQL alone, for the time of the block."""
    account = account_for([programs() / "postgres", place.root])
    make_cluster(place, account)
    with place.log_file("postgres").open("ab") as log:
        started = subprocess.Popen(
            server_command(place, account),
            env=server_environment(),
            cwd=place.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_up(place, started)
        yield
    finally:
        started.send_signal(signal.SIGINT)  # 'fast': it writes all out and leaves
        started.wait(_STOP_SECONDS)


def _wait_until_up(place: Place, started: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            run_program(place, "psql", "--command=SELECT 1", "postgres")
        except CxrError:
            if started.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


def _end_server(root: Path) -> None:
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        record = (root / "postgres" / "postmaster.pid").read_text()
        server = psutil.Process(int(record.split()[0]))
        if server.name().startswith("postgres"):
            server.send_signal(signal.SIGINT)
            server.wait(_STOP_SECONDS)
