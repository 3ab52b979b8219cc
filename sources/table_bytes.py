"""The bytes of a publisher's table, before anything parses them: one look finds what is wrong.

A file that is no table (a web page, packed data under a plain name, zeros of a broken download) is
refused here with a line that says so; a parser would call it something else, or take it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from infra.errors import SourceError

DOWNLOAD_AGAIN: Final = "download the file again and compare its checksum with the publisher's"
LINE_BYTES: Final = 16 << 20
"""Longest line accepted. Our choice: far above any report, and DuckDB's own limit is 2 MB. A gzip
bomb has none that are shorter."""
_BLOCK_BYTES: Final = 4 << 20
_HEADER_CHARACTERS: Final = 1 << 20
"""Longest header accepted. Our choice: a hundred times that of the widest table (PadChest's)."""
_PACKED: Final = {
    b"\x1f\x8b": "gzip data",
    b"PK\x03\x04": "a zip archive (or an Excel workbook)",
}
_WEB_PAGE: Final = ("<!doctype html", "<html")


def is_there(path: Path) -> bool:
    """Whether an optional file is on disk.

    Raises:
        SourceError: something else has its name: a folder, a pipe, or a link that leads nowhere.
    """
    if not os.path.lexists(path):
        return False
    require_file(path)
    return True


def require_file(path: Path) -> None:
    """Raise SourceError, saying what is there instead, unless a path is a file."""
    if not path.is_file():
        raise _no_file(path)


def require_text(path: Path) -> None:
    """Raise SourceError unless a file can be read and its beginning may be text, of any length."""
    block = next(_blocks(path), b"")
    if not block:
        raise SourceError(f"an empty file at {path}", "text", DOWNLOAD_AGAIN)
    _refuse_other_formats(path, block)


def read_names(path: Path) -> list[str]:
    """The words of a text file: one name a line, as split lists have them.

    Raises:
        SourceError: as ``checked_header``, but for an empty file, which has no names.
    """
    return "".join(_texts(path)).removeprefix("\ufeff").split()


def checked_header(path: Path, delimiter: str) -> list[str]:
    """The first row's cells, once the whole file is known to be readable UTF-8 text.

    Raises:
        SourceError: no file, no bytes, bytes that are no UTF-8 text, or no header.
    """
    first_line = ""
    is_empty = True
    for text in _texts(path):
        is_empty = False
        if "\n" not in first_line and len(first_line) <= _HEADER_CHARACTERS:
            first_line += text
    if is_empty:
        raise SourceError(f"an empty file at {path}", "a header and rows", DOWNLOAD_AGAIN)
    lines = first_line[:_HEADER_CHARACTERS].removeprefix("\ufeff").splitlines()
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        raise SourceError(
            f"no header on line 1 of {path}", "the names of the columns", DOWNLOAD_AGAIN
        ) from None


def _texts(path: Path) -> Iterator[str]:
    """A file's text, in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = line_start = 0
    for block in _blocks(path):
        if offset == 0:
            _refuse_other_formats(path, block)
        if (place := block.find(b"\0")) >= 0:
            raise SourceError(
                f"a zero byte at offset {offset + place} of {path}", "text", DOWNLOAD_AGAIN
            )
        if (place := max(block.rfind(b"\n"), block.rfind(b"\r"))) >= 0:
            line_start = offset + place + 1
        if offset + len(block) - line_start > LINE_BYTES:
            raise SourceError(
                f"a line of over {LINE_BYTES >> 20} MiB at offset {line_start} of {path}",
                "lines of text",
                DOWNLOAD_AGAIN,
            )
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, offset - pending + error.start) from None
        yield text
        offset += len(block)
    if decoder.getstate()[0]:
        raise _not_utf8(path, offset - len(decoder.getstate()[0]))


LARGEST_UNPACKED_BYTES: Final = 1 << 30
MOST_TIMES: Final = 100
"""What a file may unpack to: this many bytes, or this many times its own size, whichever is more.
Our choice: MIMIC-CXR's metadata, a large table, unpacks to 60 MB, ten times its size."""


def _refuse_other_formats(path: Path, block: bytes) -> None:
    for magic, what in _PACKED.items():
        if block.startswith(magic):
            raise SourceError(f"{what} in {path}", "plain text", "unpack it under this name")
    if block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise SourceError(f"UTF-16 text in {path}", "UTF-8 text", "convert it to UTF-8")
    start = block[:64].decode("ascii", "replace").lstrip("\ufffd \t\r\n").lower()
    if start.startswith(_WEB_PAGE):
        raise SourceError(
            f"a web page in {path}", "a table", "log in to the publisher's site and download again"
        )


def _not_utf8(path: Path, offset: int) -> SourceError:
    return SourceError(
        f"bytes that are not UTF-8 at offset {offset} of {path}",
        "UTF-8 text",
        "download the file again, or convert it to UTF-8",
    )


def _blocks(path: Path) -> Iterator[bytes]:
    """The (unpacked) bytes of a file, in blocks."""
    require_file(path)
    try:
        with _open(path) as opened:
            stream = Unpacked(opened, path)
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Not a gzipped file" in str(error):
            raise SourceError(
                f"data that is not gzip in {path}",
                "a gzip file, as its name says",
                "download the file again without unpacking it, or pack it with gzip",
            ) from None
        raise SourceError(
            f"broken gzip data in {path} ({type(error).__name__})",
            "a whole gzip file",
            DOWNLOAD_AGAIN,
        ) from None
    except OSError as error:
        raise SourceError(
            f"{path}, which cannot be read ({error.strerror})",
            "a readable file",
            "check its permissions and the disk",
        ) from None


class Unpacked:
    """A stream that is read no further than a table or an archive of texts could go on.

    A few kilobytes of gzip can unpack to gigabytes, and never end for whoever waits. Text packs to
    a tenth, seldom to a fiftieth.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile, path: Path) -> None:
        self._stream, self._path = stream, path
        self._most = max(LARGEST_UNPACKED_BYTES, MOST_TIMES * path.stat().st_size)
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """As a file's.

        Raises:
            SourceError: more has come out than ever should.
        """
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > self._most:
            raise SourceError(
                f"{self._path}, which unpacks to more than {self._most:,} bytes",
                f"at most {MOST_TIMES} times its size, or {LARGEST_UNPACKED_BYTES:,} bytes",
                DOWNLOAD_AGAIN,
            )
        return data


def _no_file(path: Path) -> SourceError:
    """Why a path is no file."""
    if path.is_dir():
        return SourceError(f"a folder at {path}", "the publisher's file", DOWNLOAD_AGAIN)
    if path.is_symlink():
        return SourceError(
            f"a link that leads nowhere at {path}", "the publisher's file", "fetch what it names"
        )
    if path.exists():
        return SourceError(
            f"a pipe or device at {path}", "the publisher's file", "put the file in its place"
        )
    return SourceError(f"no file at {path}", "the publisher's table", DOWNLOAD_AGAIN)


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
