"""Pictures embedded in a Parquet file, as the Hugging Face hub stores a sequence of images.

A column ``images`` holds lists of structs ``bytes, path``; the member ``images/17/0`` is the bytes
of the first picture of row 17. One row group is held at a time (the hub's writer puts 100 rows of
pictures into one), so reading row after row decodes each group once.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DAMAGED = (pa.ArrowException, OSError, ValueError)


class MemberError(Exception):
    """One picture that cannot be read; ``reason`` is a code of ``Rejected``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type[MemberError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def leaf_path(file: pq.ParquetFile, column: str, field: str) -> str | None:
    """The path of a list column's leaf (``images.list.element.bytes``); None where it has none.

    Writers call the middle differently, so it is looked up.
    """
    paths = (file.schema.column(number).path for number in range(len(file.schema)))
    found = (p for p in paths if p.startswith(f"{column}.") and p.endswith(f".{field}"))
    return next(found, None)


class ParquetPictures:
    """One open file.

    Raises:
        MemberError: ``archive-broken`` where it is no readable Parquet file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except DAMAGED as error:
            raise MemberError("archive-broken", "not a readable Parquet file") from error
        groups = self._file.metadata.num_row_groups
        sizes = (self._file.metadata.row_group(number).num_rows for number in range(groups))
        self._starts = list(accumulate(sizes, initial=0))
        self._held: tuple[str, int, pa.ChunkedArray] | None = None

    def close(self) -> None:
        """Close the file and forget the row group."""
        self._held = None
        self._file.close()

    def read(self, member: str) -> bytes:
        """The bytes of ``column/row/place``.

        Raises:
            MemberError: ``member-missing`` (no such column, row or place, or no bytes there) or
                ``archive-broken``.
        """
        column, row, place = self._parsed(member)
        group = bisect_right(self._starts, row) - 1
        try:
            pictures = self._group(column, group)[row - self._starts[group]].as_py() or []
        except DAMAGED as error:
            raise MemberError("archive-broken", "damaged row group") from error
        picture = pictures[place] if place < len(pictures) else None
        data = picture["bytes"] if isinstance(picture, dict) else None
        if not isinstance(data, bytes):
            raise MemberError("member-missing", "no such picture")
        return data

    def _parsed(self, member: str) -> tuple[str, int, int]:
        column, *numbers = member.split("/")
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() for n in numbers):
            raise MemberError("member-missing", "expected column/row/place")
        row, place = map(int, numbers)
        if row >= self._starts[-1]:
            raise MemberError("member-missing", "no such row")
        return column, row, place

    def _group(self, column: str, group: int) -> pa.ChunkedArray:
        """The pictures of one row group: lists of structs."""
        if self._held is None or self._held[:2] != (column, group):
            leaf = leaf_path(self._file, column, "bytes")
            if leaf is None:
                raise MemberError("member-missing", "no such column of pictures")
            self._held = None  # two groups at once would double the memory
            table = self._file.read_row_group(group, columns=[leaf], use_threads=False)
            self._held = (column, group, table[column])
        return self._held[2]
