"""The stack's folder: its ports, its passwords, and what is where in it.

ports.json  secrets.json  env.sh   chosen once, so that addresses stay; the latter two for the
                                   owner alone
supervisor.json  status.json       who watches, and how each process is
logs/<name>.log                    what each process prints
postgres/  objects/  prefect/  state/  prometheus/
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import InputError
from infra.store import explained_place, make_folder

LOOPBACK = "127.0.0.1"
PORTED = (
    *("postgres", "objects", "prefect", "mlflow", "metrics", "prometheus"),
    *("worker-cpu", "worker-gpu"),
)
"""Processes that listen; workers tell only how they are."""
PASSWORDS = ("postgres", "prefect_database", "mlflow_database", "prefect", "objects", "mlflow")
UNFINISHED = "restoring"
"""A file in the folder while a backup is being restored into it."""
_PRIVATE, _PASSABLE = 0o700, 0o711
"""PostgreSQL may run as another user, who must be able to pass through but not to look around."""


@dataclass(frozen=True)
class Place:
    """One stack: its folder, its ports and its passwords.

    Args:
        mark: carried in the environment of all its processes, so that they are found again.
    """

    root: Path
    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    mark: str

    def url(self, name: str) -> str:
        """Where a process answers over HTTP."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def log_file(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    @property
    def supervisor_file(self) -> Path:
        return self.root / "supervisor.json"

    @property
    def status_file(self) -> Path:
        return self.root / "status.json"


def make_place(root: Path) -> Place:
    """The stack at a folder, made on first use; ports and passwords are then kept.

    Raises:
        InputError: the folder cannot be written.
    """
    root = root.absolute()
    make_folder(root)
    with explained_place(str(root)):
        root.chmod(_PASSABLE)
        for name in ("logs", "objects", "prefect", "state", "prometheus"):
            (root / name).mkdir(exist_ok=True, mode=_PRIVATE)
        if not (root / "secrets.json").exists():
            words = {name: secrets.token_hex(20) for name in (*PASSWORDS, "mark")}
            write_private(root / "secrets.json", json.dumps(words, indent=1))
        known = _read(root / "ports.json") if (root / "ports.json").exists() else {}
        lacking = [name for name in PORTED if name not in known]
        if lacking:
            known |= dict(zip(lacking, free_ports(len(lacking)), strict=True))
            (root / "ports.json").write_text(json.dumps(known, indent=1) + "\n")
    return read_place(root)


def read_place(root: Path) -> Place:
    """The stack that is at a folder.

    Raises:
        InputError: there is none.
    """
    root = root.absolute()
    if not (root / "secrets.json").is_file() or not (root / "ports.json").is_file():
        raise InputError(f"no stack at {root}", "a folder that 'make stack' made", "run it first")
    words = _read(root / "secrets.json")
    return Place(root, _read(root / "ports.json"), words, words["mark"])


def _read(path: Path) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads(path.read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return found


def free_ports(count: int) -> Sequence[int]:
    """Loopback ports that nobody listens on now."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in taken]
    finally:
        for each in taken:
            each.close()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    number = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    partial.replace(path)
