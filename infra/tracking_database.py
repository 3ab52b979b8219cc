"""MLflow's SQLite database of the embedded default: there with all its tables, or not at all.

MLflow makes its tables one by one. A process killed on the way leaves some of them, and every later
start would fail on those; two processes that start together would make the same ones.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing, suppress
from pathlib import Path

from filelock import FileLock

from infra.errors import InputError
from infra.store import explained_place, make_folder

SQLITE = "sqlite:///"


def make_database(uri: str) -> None:
    """Make the database of a SQLite URI if its file is absent; other URIs are a server's affair.

    Raises:
        InputError: its folder cannot be written.
    """
    if not uri.startswith(SQLITE):
        return
    place = Path(uri.removeprefix(SQLITE))
    if place.exists():
        return
    make_folder(place.parent)
    with explained_place(str(place.parent)), FileLock(f"{place}.lock"):
        for left in place.parent.glob(f".{place.name}-*"):
            left.unlink()  # by a process that was killed here
        if not place.exists():
            _make(place)


def has_database(uri: str) -> bool:
    """Whether there is anything at that URI; a server is taken to be there."""
    return not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).exists()


def require_database(uri: str) -> None:
    """For those who only look: the file of a SQLite URI is there, and none is made.

    Raises:
        InputError: nothing was registered under this data root.
    """
    if not has_database(uri):
        raise InputError(
            f"no registry at {uri}",
            "the database of a run that registered a model",
            "name the data root of that run, or set CXR_MLFLOW_URI",
        )


def _make(place: Path) -> None:
    from mlflow import MlflowClient

    tables = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    MlflowClient(tracking_uri=f"{SQLITE}{tables}").search_experiments(max_results=1)
    whole = tables.with_name(f"{tables.name}-whole")
    # A copy, for MLflow keeps connections to the file that it has made.
    with closing(sqlite3.connect(tables)) as source, closing(sqlite3.connect(whole)) as copy:
        source.backup(copy)
    whole.replace(place)
    with suppress(FileNotFoundError):
        tables.unlink()
