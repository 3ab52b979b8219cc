"""Where Prefect keeps its state when nobody has set it up: in the run's own state folder.

Must be called before Prefect is imported. A user's own server, home or profile is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from infra.store import explained_place, make_folder

_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",
}
_STARTUP_SECONDS = "120"
"""Prefect's own 20 s is too short for its first start on two busy cores (about 24 s measured)."""

_FEW_WRITES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
}
"""By default the embedded server writes each task run's every event by itself. Its SQLite database
then refuses a request or two in each run, and the client waits 2 s before it asks again: a cached
demo takes 19 to 29 s, and 16 to 20 s with these (measured). Our choice: more than a demo has."""

_ROOM_BYTES = 1 << 20
"""Our choice: a cached demo alone makes its database grow by so much."""


def settle_prefect(state: Path) -> bool:
    """Set defaults that the user's environment does not set.

    Returns:
        Whether Prefect's place is the state folder: the user has set up no other.

    Raises:
        InputError: the state folder cannot be written, or is full.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    own_profile = Path.home() / ".prefect" / "profiles.toml"
    configured = {"PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"} & os.environ.keys()
    if configured or own_profile.is_file():
        return False
    home = state / "prefect"
    make_folder(home)
    _require_room(home)
    os.environ["PREFECT_HOME"] = str(home)
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", _STARTUP_SECONDS)
    for name, value in _FEW_WRITES.items():
        os.environ.setdefault(name, value)
    return True


def _require_room(home: Path) -> None:
    """On a full or read-only disk Prefect tries for two minutes and ends in pages of tracebacks."""
    place = home / f".room-{os.getpid()}"
    with explained_place(str(home)):
        try:
            place.write_bytes(bytes(_ROOM_BYTES))
        finally:
            place.unlink(missing_ok=True)
