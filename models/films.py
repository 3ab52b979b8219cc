"""Films out of shards, real ones of examples and drawn ones alike, as grey squares of one size.

Shapes: B films, P side in px.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from infra.errors import InputError
from models.shards import to_model_size

Films = tuple[list[str], NDArray[np.uint8]]
"""Ids, and uint8 [B, P, P]."""


def film_batches(files: Sequence[Path], side_px: int, batch_size: int) -> Iterator[Films]:
    """Every film of the shards in their order; of an example with several the first.

    Raises:
        InputError: a shard is absent, is none, or holds a picture that cannot be read.
    """
    for file in files:
        for ids, stored in _rows(file, batch_size):
            yield ids, np.stack([_square(data, side_px, file) for data in stored])


def _rows(file: Path, batch_size: int) -> Iterator[tuple[list[str], list[bytes]]]:
    if not file.is_file():
        raise InputError(f"no file {file}", "a shard of films or examples", "write it first")
    shard = pq.ParquetFile(file)
    names = set(shard.schema_arrow.names)
    if {"film_id", "pixels"} <= names:
        for batch in shard.iter_batches(batch_size, columns=["film_id", "pixels"]):
            yield batch["film_id"].to_pylist(), batch["pixels"].to_pylist()
    elif {"example_id", "images"} <= names:
        for batch in shard.iter_batches(batch_size, columns=["example_id", "images"]):
            shown = [row for row in batch.to_pylist() if row["images"]]
            if shown:
                pixels = [row["images"][0]["pixels"] for row in shown]
                yield [row["example_id"] for row in shown], pixels
    else:
        raise InputError(
            f"columns {', '.join(sorted(names))} in {file.name}",
            "film_id and pixels, or those of examples",
            "write films with FILM_SCHEMA",
        )


def _square(data: bytes, side_px: int, file: Path) -> NDArray[np.uint8]:
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            return to_model_size(picture, side_px)
    except (PIL.UnidentifiedImageError, OSError) as error:
        raise InputError(
            f"a film of {file.name} that cannot be read ({type(error).__name__})",
            "an encoded grey picture",
            "write the shard again",
        ) from error


def all_films(files: Sequence[Path], side_px: int) -> tuple[list[str], torch.Tensor]:
    """Ids and uint8 [B, P, P] of every film at once.

    Raises:
        InputError: as ``film_batches``; or there is no film.
    """
    ids: list[str] = []
    pixels = []
    for names, batch in film_batches(files, side_px, 256):
        ids += names
        pixels.append(torch.from_numpy(batch))
    if not ids:
        raise InputError(f"{len(files)} shards without a film", "films", "check what wrote them")
    return ids, torch.cat(pixels)
