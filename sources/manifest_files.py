"""What ``manifest.csv`` points at: whether files are there, and the view in a DICOM header."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from sources.dicom_header import read_headers
from sources.pixels_dicom import is_dicom

_HEAD_BYTES: Final = 256
"""Enough to tell DICOM from other files: the magic word stands at byte 128."""
_SCHEMA: Final = pa.schema([(name, pa.string()) for name in ("uri", "reason", "detail")])


def find_files(root: Path, uris: Iterable[str]) -> pa.Table:
    """Columns ``uri``, ``reason``, ``detail``, one row per distinct uri.

    ``reason`` is ``path-outside-root`` or ``file-missing``, or null where the file is there.
    """
    return pa.Table.from_pylist([_look(root, uri) for uri in sorted(set(uris))], schema=_SCHEMA)


def _look(root: Path, uri: str) -> dict[str, str | None]:
    place = PurePosixPath(uri.partition("!")[0])
    row: dict[str, str | None] = {"uri": uri}
    if place.is_absolute() or ".." in place.parts:
        return row | {
            "reason": "path-outside-root",
            "detail": "an absolute path or one with '..'; expected one relative to manifest.csv",
        }
    if not _is_file(root / place):
        return row | {"reason": "file-missing", "detail": "no such file below the root"}
    return row


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False


def header_views(root: Path, uris: Iterable[str]) -> pa.Table:
    """Columns ``uri`` and ``header_view``, of the DICOM files among ``uris``.

    The value is PA, AP, LATERAL or UNKNOWN, whatever the header says, so that nothing that could
    identify a person gets out; null where the header is damaged, which its pixels will tell.
    """
    headers = read_headers(root, [uri for uri in sorted(set(uris)) if _holds_dicom(root, uri)])
    return headers.select(["uri", "view"]).rename_columns(["uri", "header_view"])


def _holds_dicom(root: Path, uri: str) -> bool:
    try:
        with (root / uri).open("rb") as stream:
            return is_dicom(stream.read(_HEAD_BYTES))
    except OSError:
        return False
