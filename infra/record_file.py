"""JSON records that carry a digest of themselves, so that one flipped byte is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.fingerprint import fingerprint
from infra.store import IN_THE_WAY, ON_USE, Store, explained_place

SEAL = "seal"


def sealed(record: Mapping[str, Any]) -> str:
    """The record as JSON text with a digest of its other fields in ``seal``."""
    plain = json.loads(json.dumps(record))
    return json.dumps({**plain, SEAL: fingerprint(plain)}, indent=1)


def read_record(store: Store, relative: str) -> dict[str, Any] | None:
    """A sealed record, or None when it is absent or differs from its seal.

    Raises:
        InputError: it may not be read, or something else than a file is in its place.
    """
    try:
        with explained_place(store.path(relative), (*ON_USE, *IN_THE_WAY)):
            record = json.loads(store.fs.cat_file(store.path(relative)))
        if not isinstance(record, dict):
            return None
        seal = record.pop(SEAL, None)
        return record if seal == fingerprint(record) else None
    except (FileNotFoundError, ValueError, RecursionError):  # a NaN has no fingerprint in JSON
        return None
