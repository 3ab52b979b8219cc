"""Search a file's bytes for needles, and what lies packed inside of it: Parquet, SQLite, zip, gzip,
and pictures that a page carries in base64.

It knows no schema and no artifact: every text and every run of bytes of a file is looked at.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.sqlite_files import cells, is_database
from tasks.forget.needles import Needles
from tasks.forget.tables import is_bytes, joined, leaves

_BLOCK_BYTES: Final = 64 << 20
"""Of a file that is read at once. Our choice: a shard of weights is many of them."""
_OVERLAP_BYTES: Final = 1 << 16
"""What two blocks share, so that nothing is cut in two: longer than any sentence or path."""
_BASE64: Final = re.compile(rb"base64,([A-Za-z0-9+/\r\n]{64,}={0,2})")
_MOST_INSIDE: Final = 1 << 30
"""A packed member of more bytes is read no further (our choice: none of ours comes near)."""
_ZIP, _GZIP, _PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"PAR1"
_PICTURES: Final = (b"\x89PNG", b"\xff\xd8\xff")


def kinds_in_file(path: Path, needles: Needles) -> set[str]:
    """Kinds of needle that stand in a file, in its bytes or packed inside."""
    found: set[str] = set()
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        for block in _blocks(stream):
            found |= needles.kinds_in(block)
            found |= _embedded(block, needles)
    if head == _PARQUET:
        found |= _in_parquet(path, needles)
    elif head.startswith(_GZIP):
        found |= _in_gzip(path, needles)
    elif head == _ZIP:
        found |= _in_zip(path, needles)
    elif is_database(path):
        for _, cell in cells(path):
            found |= kinds_in_bytes(cell, needles)
    elif head.startswith(_PICTURES) and needles.is_picture(path.read_bytes()):
        found.add("picture")
    return found


def kinds_in_bytes(data: bytes, needles: Needles) -> set[str]:
    """The same of bytes that were packed in a file."""
    found = needles.kinds_in(data) | _embedded(data, needles)
    if data.startswith(_PICTURES) and needles.is_picture(data):
        found.add("picture")
    return found


def _blocks(stream: object) -> Iterator[bytes]:
    """A file in blocks that overlap."""
    tail = b""
    while block := stream.read(_BLOCK_BYTES):  # type: ignore[attr-defined]
        yield tail + block
        tail = block[-_OVERLAP_BYTES:]


def _embedded(data: bytes, needles: Needles) -> set[str]:
    """Pictures that a page carries in itself."""
    if b"base64," not in data:
        return set()
    found: set[str] = set()
    for match in _BASE64.finditer(data):
        try:
            inside = base64.b64decode(match[1], validate=False)
        except (binascii.Error, ValueError):
            continue
        found |= needles.kinds_in(inside, words=False)
        if needles.is_picture(inside):
            found.add("picture")
    return found


def _in_parquet(path: Path, needles: Needles) -> set[str]:
    """Every text and every run of bytes of a table, decoded."""
    found: set[str] = set()
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, use_threads=False)
                for _, array in leaves(table):
                    found |= _in_array(array, needles)
    except pa.ArrowException:
        return found  # cut short: its bytes were searched
    return found


def _in_array(array: pa.Array, needles: Needles) -> set[str]:
    if not is_bytes(array.type):
        return needles.kinds_in(joined(array))
    found: set[str] = set()
    for value in array:
        buffer = value.as_buffer()
        if buffer is not None:
            data = buffer.to_pybytes()
            found |= needles.kinds_in(data, words=len(data) < _OVERLAP_BYTES)
            if needles.is_picture(data):
                found.add("picture")
    return found


def _in_gzip(path: Path, needles: Needles) -> set[str]:
    found: set[str] = set()
    try:
        with gzip.open(path, "rb") as stream:
            for block in _blocks(stream):
                found |= needles.kinds_in(block)
    except (OSError, EOFError, zlib.error):
        return found
    return found


def _in_zip(path: Path, needles: Needles) -> set[str]:
    found: set[str] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                found |= needles.kinds_in(member.filename.encode())
                with archive.open(member) as stream:
                    found |= kinds_in_bytes(stream.read(_MOST_INSIDE), needles)
    except (zipfile.BadZipFile, OSError, zlib.error, RuntimeError, NotImplementedError):
        return found
    return found


def kinds_in_name(name: str, needles: Needles) -> set[str]:
    """Kinds of needle in a file's own name and folders."""
    return needles.kinds_in(name.encode("utf-8", "surrogateescape"))
