"""The stored films that lie on their side, for a choice of films that passes over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import ArtifactError
from sources.orientation import lies_on_its_side

_IDS: Final = ("source", "study_id", "image_id")
SCHEMA: Final = pa.schema([(name, pa.string()) for name in _IDS])
_ROWS: Final = 64  # our choice: a few MB of stored films at once


def lying_films(files: Sequence[Path]) -> pa.Table:
    """Ids of the films that lie, of pieces in IMAGE_ROW_SCHEMA.

    Raises:
        ArtifactError: stored pixels are no picture.
    """
    rows = [
        {name: row[name] for name in _IDS}
        for file in sorted(files)
        for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=[*_IDS, "pixels"])
        for row in batch.to_pylist()
        if _lies(row)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _lies(row: dict[str, Any]) -> bool:
    grey = cv2.imdecode(np.frombuffer(row["pixels"], np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        where = " / ".join(row[name] for name in _IDS)
        raise ArtifactError(
            f"{where} is stored as no picture; rebuild the images with 'cxr ingest'"
        )
    return lies_on_its_side(grey.astype(np.uint8))
