"""What ``manifest.csv`` points at: whether files are there, and the view in a DICOM header."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa
from pydicom import dcmread

from sources.pixels_dicom import is_dicom
from sources.pixels_dicom_frame import DICOM_DAMAGE

_HEAD_BYTES: Final = 256
"""Enough to tell DICOM from other files: the magic word stands at byte 128."""
_VIEW_POSITIONS: Final = {
    "PA": "PA",
    "AP": "AP",
    "LL": "LATERAL",
    "RL": "LATERAL",
    "LATERAL": "LATERAL",
}
"""DICOM's View Position (0018,5101) for chest films; decubitus and oblique codes stay UNKNOWN."""


def find_files(root: Path, uris: Iterable[str]) -> pa.Table:
    """Columns ``uri``, ``reason``, ``detail``, ``header_view``, one row per distinct uri.

    ``reason`` is ``path-outside-root`` or ``file-missing``, or null. ``header_view`` is null where
    the file is no DICOM file, lies in a zip, or does not say.
    """
    rows = [_look(root, uri) for uri in sorted(set(uris))]
    schema = pa.schema([(name, pa.string()) for name in ("uri", "reason", "detail", "header_view")])
    return pa.Table.from_pylist(rows, schema=schema)


def _look(root: Path, uri: str) -> dict[str, str | None]:
    place = PurePosixPath(uri.partition("!")[0])
    row: dict[str, str | None] = {"uri": uri}
    if place.is_absolute() or ".." in place.parts:
        return row | {
            "reason": "path-outside-root",
            "detail": "an absolute path or one with '..'; expected one relative to manifest.csv",
        }
    path = root / place
    if not path.is_file():
        return row | {"reason": "file-missing", "detail": "no such file below the root"}
    return row if "!" in uri else row | {"header_view": read_header_view(path)}


def read_header_view(path: Path) -> str | None:
    """PA, AP or LATERAL from a DICOM file's ViewPosition; None for anything else.

    No other tag is parsed, and the value goes through a fixed table, so nothing that could identify
    a person gets out. A damaged file gives None: it is rejected when its pixels are read.
    """
    try:
        with path.open("rb") as stream:
            if not is_dicom(stream.read(_HEAD_BYTES)):
                return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote header values
            header = dcmread(
                path, stop_before_pixels=True, force=True, specific_tags=["ViewPosition"]
            )
        return _VIEW_POSITIONS.get(str(header.get("ViewPosition", "")).strip().upper())
    except (*DICOM_DAMAGE, OSError):
        return None
