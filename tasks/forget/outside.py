"""Where MLflow and Prefect keep what they know: a folder, a database, or a server of its own.

A server that is only known by its address cannot be searched from here. What its keeper needs is
one command, run where the database behind it can be reached.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from infra.postgres_rows import is_postgres, values_of
from infra.settings.environment import Environment, without_password
from infra.stack.addresses import MODEL_BUCKET
from infra.stack.databases import database_url
from infra.stack.place import Place, read_place
from infra.store import Store
from infra.tracking_database import SQLITE

_API: Final = "PREFECT_API_URL"
_DATABASE: Final = "PREFECT_API_DATABASE_CONNECTION_URL"
_PREFECT_SQLITE: Final = "sqlite+aiosqlite:///"


@dataclass(frozen=True)
class Outside:
    """Where else to look, and what cannot be looked into.

    Args:
        folders: local folders that are searched whole.
        unsearched: places of other servers, with what their keepers do.
        databases: addresses of PostgreSQL databases, with their passwords.
        stores: object stores that hold MLflow's artifacts, as URLs.
    """

    folders: tuple[Path, ...]
    unsearched: tuple[str, ...]
    databases: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()


def find_outside(environment: Environment) -> Outside:
    """State folder, MLflow's store and Prefect's home, as the environment names them.

    Raises:
        InputError: a database does not answer: nobody could look into it.
    """
    stack = _stack_of(environment)
    found = [environment.state, *_of_mlflow(environment, stack), *_of_prefect(stack)]
    folders = [each for each in found if isinstance(each, Path)]
    told = [each for each in found if isinstance(each, str)]
    distinct = [
        folder
        for place, folder in enumerate(folders)
        if folder.is_dir()
        and not any(other == folder or other in folder.parents for other in folders[:place])
    ]
    databases = tuple(dict.fromkeys(each for each in told if is_postgres(each)))
    stores = tuple(each for each in told if is_url(each) and each not in databases)
    unsearched = tuple(each for each in told if not is_url(each))
    return Outside(tuple(distinct), unsearched, databases, stores)


def is_url(told: str) -> bool:
    """Whether a place is an address, and no sentence."""
    return " " not in told and "://" in told


def store_at(url: str, state: Path) -> Store:
    """An object store that is no data root."""
    return Store(url, state, make=False)


def _stack_of(environment: Environment) -> Place | None:
    """The stack whose state folder this is (``cxr stack``)."""
    root = environment.state.parent
    whole = (root / "secrets.json").is_file() and (root / "ports.json").is_file()
    return read_place(root) if whole else None


def _of_mlflow(environment: Environment, stack: Place | None) -> Iterator[Path | str]:
    """Folders, addresses of databases, and sentences about what cannot be searched."""
    uri = environment.tracking_uri
    if uri.startswith(SQLITE):
        yield Path(uri.removeprefix(SQLITE)).parent
    elif is_postgres(uri):
        yield uri
        yield from _artifacts(uri)
    elif stack is not None and uri.rstrip("/") == stack.url("mlflow"):
        yield database_url(stack, "mlflow", "psycopg2")
        yield stack.root / "objects" / "objects" / MODEL_BUCKET
    elif "://" not in uri or uri.startswith("file:"):
        yield Path(unquote(urlsplit(uri).path))
    else:
        yield (
            f"MLflow's store behind {without_password(uri)}: its keeper runs the same command with "
            "CXR_MLFLOW_URI=postgresql://USER:PASSWORD@HOST/DATABASE, which names its database"
        )


def _artifacts(url: str) -> Iterator[Path | str]:
    """Where a database of MLflow says that artifacts lie."""
    told = values_of(url, "experiments", "artifact_location")
    told |= values_of(url, "runs", "artifact_uri")
    roots = [place for place in sorted(told) if not any(place.startswith(f"{p}/") for p in told)]
    for place in roots:
        if urlsplit(place).scheme in ("", "file"):
            yield Path(unquote(urlsplit(place).path))
        elif is_url(place) and not place.startswith("mlflow-artifacts:"):
            yield place
        else:
            yield (
                f"MLflow's artifacts at {place.partition(' ')[0]}, which its server alone can "
                "read: its keeper searches the store behind them"
            )


def _of_prefect(stack: Place | None) -> Iterator[Path | str]:
    own = Path.home() / ".prefect"
    if os.environ.get("PREFECT_HOME") or (own / "profiles.toml").is_file():
        yield Path(os.environ.get("PREFECT_HOME") or own)
    database = os.environ.get(_DATABASE, "")
    address = os.environ.get(_API) or _profile_address()
    if is_postgres(database):
        yield database
    elif database.startswith(_PREFECT_SQLITE):
        yield Path(database.removeprefix(_PREFECT_SQLITE).partition("?")[0]).parent
    elif stack is not None and address == f"{stack.url('prefect')}/api":
        yield database_url(stack, "prefect", "asyncpg")
    elif address or database:
        yield (
            f"Prefect's database behind {without_password(address or database)}: its keeper runs "
            f"the same command with {_DATABASE}=postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE"
        )


def _profile_address() -> str:
    """The server that the active profile of Prefect names."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    try:
        told = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return ""
    active = os.environ.get("PREFECT_PROFILE") or told.get("active", "")
    return str(told.get("profiles", {}).get(active, {}).get(_API, ""))
