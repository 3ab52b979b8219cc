"""Row groups of example shards, held as they are stored; an image is decoded when it is asked for.

Reading a row group costs little, decoding its images does not, and a loader's worker needs only the
images of its own batches: so each reads all row groups and decodes a part.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.parquet import ShardReader, views_of
from sources.crop import margin, of_short_side

Pixels: TypeAlias = NDArray[np.uint8]
HELD_BYTES = 256 * 2**20
"""Stored bytes of row groups that one process holds (our choice: 2,500 films of 518 px, well above
the row groups of one shuffling window)."""
OPEN_FILES = 8
"""Our choice: a shuffling window of films of 518 px spans two or three shards."""
_IMAGE = "images.list.element"  # the path of an image inside Parquet's columns


@dataclass(frozen=True)
class Group:
    """One row group: the chosen rows' short columns, and views of their stored images."""

    rows: tuple[dict[str, Any], ...]
    pictures: tuple[tuple[memoryview, ...], ...]

    @property
    def stored_bytes(self) -> int:
        return sum(picture.nbytes for images in self.pictures for picture in images)


class GroupReader:
    """Row groups of files; those used last are held, up to HELD_BYTES of stored images."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._open: OrderedDict[Path, ShardReader] = OrderedDict()
        self._held: OrderedDict[tuple[Path, int], Group] = OrderedDict()
        self._bytes = 0

    def group(self, file: Path, index: int, rows: Sequence[int], *, pictures: bool) -> Group:
        """The chosen rows of a row group; without pictures their images are not read.

        Raises:
            ArtifactError: the file is absent or damaged.
        """
        key = (file, index)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        found = self._read(file, index, rows, pictures)
        self._held[key] = found
        self._bytes += found.stored_bytes
        while self._bytes > HELD_BYTES and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].stored_bytes
        return found

    def _shard(self, file: Path) -> ShardReader:
        """The file, opened once for row groups that follow each other."""
        if file not in self._open:
            self._open[file] = ShardReader(file)
            while len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        return self._open[file]

    def _read(self, file: Path, index: int, rows: Sequence[int], pictures: bool) -> Group:
        parts = ("view", "pixels") if pictures else ("view",)
        columns = [*self.columns, *(f"{_IMAGE}.{part}" for part in parts)]
        table = self._shard(file).table(index, columns)
        images = table["images"].combine_chunks()
        ends = images.offsets.to_numpy() - images.offsets[0].as_py()
        elements = images.flatten()
        views = elements.field("view").to_pylist()
        short = table.drop_columns(["images"]).take(list(rows)).to_pylist()
        # views that keep the row group's memory alive, no copies
        stored = views_of(elements.field("pixels")) if pictures else []
        spans = [range(ends[row], ends[row + 1]) for row in rows]
        return Group(
            tuple(
                {**row, "view": views[span[0]] if span else NO_VIEW}
                for row, span in zip(short, spans, strict=True)
            ),
            tuple(tuple(stored[place] for place in span) for span in spans) if pictures else (),
        )


NO_VIEW = "none"
"""Stands for the view of an example without images."""


def to_model_size(image: Image.Image, side_px: int) -> Pixels:
    """Grey [P, P]: the short side resized bicubic to ``side_px``, then centre-cropped.

    This is the released model's preprocessing; the long side loses its borders.
    """
    grey = image.convert("L")
    width, height = grey.size
    if min(width, height) != side_px:
        size = of_short_side(width, height, side_px)
        grey = grey.resize(size, Image.Resampling.BICUBIC)
    return centre_crop(np.asarray(grey), side_px)


def centre_crop(grey: Pixels, side_px: int) -> Pixels:
    """The middle [P, P] of an image that is at least so large, as memory of its own."""
    height, width = grey.shape
    top, left = margin(height, side_px), margin(width, side_px)
    return np.ascontiguousarray(grey[top : top + side_px, left : left + side_px])
