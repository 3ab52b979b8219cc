"""Pictures: films of examples out of the shards, drawn films, and attention as a veil over one."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.overlay import STRONGEST
from infra.parquet import ShardReader
from infra.settings.sections import ImageSettings
from infra.tables import connect
from sources.pixels import PixelError, read_grey
from tasks.ground.outcome import GROUNDING_FILE
from tasks.pages.cases import MAPS_FILE, CaseSet
from tasks.pages.library import Kept, Library
from tasks.predict.work import PREDICTIONS_FILE
from tasks.serve.refused import Refused, bad

_INDEXES: Final = 4  # sets of examples whose places are kept; our choice
_LEVELS: Final = 256
_IMAGE_IDS: Final = "images.list.element.image_id"  # Parquet's name of that part of the list
UPLOAD_SIDE_PX: Final = 1024
"""Short side of an uploaded film on the page; our choice: a screen shows no more."""
_UPLOADED: Final = ImageSettings(short_side_px=UPLOAD_SIDE_PX, smallest_side_px=16)


class _Place(NamedTuple):
    path: Path
    group: int
    row: int


@dataclass
class Films:
    """Pictures of one data root; where each example lies is looked up once for each set."""

    library: Library
    _places: OrderedDict[str, Mapping[str, _Place]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_example(self, cases: CaseSet, example_id: str, number: int = 0) -> bytes:
        """The stored picture (JPEG or PNG) of an example.

        Raises:
            Refused: 404, the examples are not here, or it has no such film.
        """
        kept = self._examples(cases)
        place = self._index(kept).get(example_id)
        if place is None:
            raise Refused(404, "no_film", "no film of that example is in the test shards")
        with ShardReader(place.path) as reader:
            images = reader.table(place.group, ["images"])["images"][place.row].as_py()
        if number >= len(images):
            raise Refused(404, "no_film", f"that example has {len(images)} films")
        pixels: bytes = images[number]["pixels"]
        return pixels

    def count(self, cases: CaseSet, example_id: str) -> int:
        """How many films an example has; 0 where the examples are not here."""
        try:
            place = self._index(self._examples(cases)).get(example_id)
        except Refused:
            return 0
        if place is None:
            return 0
        with ShardReader(place.path) as reader:
            return len(reader.table(place.group, [_IMAGE_IDS])["images"][place.row])

    def drawn(self, cases: CaseSet, example_id: str, control: str) -> bytes:
        """What a model drew for an example.

        Raises:
            Refused: 404.
        """
        files = [str(path) for path in self.library.files(cases.predictions, PREDICTIONS_FILE)]
        if cases.kind != "films" or not files:
            raise Refused(404, "no_film", "nothing was drawn here")
        with connect(threads=1) as connection:
            rows = connection.execute(
                "SELECT pixels FROM read_parquet($files) WHERE example_id = $wanted "
                "AND control = $control LIMIT 1",
                {"files": files, "wanted": example_id, "control": control},
            ).fetchall()
        if not rows or rows[0][0] is None:
            raise Refused(404, "no_film", "no such film was drawn")
        return bytes(rows[0][0])

    def _examples(self, cases: CaseSet) -> Kept:
        place = cases.predictions.input_of("examples")
        if place is None:
            raise Refused(404, "no_examples", "these predictions are of no examples that are here")
        return self.library.get(place)

    def _index(self, kept: Kept) -> Mapping[str, _Place]:
        with self._lock:
            if kept.folder not in self._places:
                self._places[kept.folder] = self._read_places(kept)
                while len(self._places) > _INDEXES:
                    self._places.popitem(last=False)
            self._places.move_to_end(kept.folder)
            return self._places[kept.folder]

    def _read_places(self, kept: Kept) -> Mapping[str, _Place]:
        found: dict[str, _Place] = {}
        for path in self.library.files(kept, "test-*"):
            with ShardReader(path) as reader:
                for group in range(len(reader.group_rows)):
                    names = reader.table(group, ["example_id"])["example_id"].to_pylist()
                    for row, name in enumerate(names):
                        found.setdefault(name, _Place(path, group, row))
        return found


def windowed(pixels: bytes, center: int, width: int) -> bytes:
    """The picture as PNG through a window.

    Args:
        center, width: in grey levels, 0-255 and 1-512; 128 and 256 change nothing.
    """
    with Image.open(BytesIO(pixels)) as picture:
        grey = np.asarray(picture.convert("L"))
    if (center, width) != (128, 256):
        levels = (np.arange(_LEVELS) - (center - width / 2)) * 255 / width
        grey = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[grey]
    return png(grey)


def png(picture: NDArray[np.uint8]) -> bytes:
    """Grey [H, W] or colour with opacity [H, W, 4] (blue, green, red, opacity) as PNG."""
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert done, "a plain array is always encoded"
    return data.tobytes()


def uploaded(data: bytes) -> bytes:
    """What a person sent, DICOM, PNG or JPEG, as a PNG for the page.

    Raises:
        Refused: 400, it is no film.
    """
    try:
        picture = read_grey(data, _UPLOADED)
    except PixelError as error:
        wanted = "a DICOM, PNG or JPEG chest film"
        raise bad(f"a film that is {error.reason}", wanted, "check it", "image") from None
    return png(np.ascontiguousarray(picture.grey))


def attention(cases: CaseSet, example_id: str, side: str, sentence: int) -> dict[str, Any]:
    """The map of one sentence: ``rows``, ``columns`` and ``values``, the greatest 1.

    Raises:
        Refused: 404, none was kept.
    """
    name = f"{example_id}/own" if side == "prediction" else example_id
    for kept in cases.grounding:
        files = [str(path) for path in cases.library.files(kept, MAPS_FILE)]
        if not files:
            continue
        with connect(threads=1) as connection:
            rows = connection.sql(
                "SELECT rows, columns, values::FLOAT[] AS values FROM read_parquet($maps) "
                "WHERE example_id = $name AND sentence = $sentence AND control = 'none' "
                "AND method <> '' ORDER BY method = $chosen DESC LIMIT 1",
                params={
                    "maps": files,
                    "name": name,
                    "sentence": sentence,
                    "chosen": _chosen_method(cases, kept),
                },
            ).to_arrow_table()
        if rows.num_rows:
            found: dict[str, Any] = rows.to_pylist()[0]
            return found
    raise Refused(404, "no_map", "no attention was kept of that sentence")


def _chosen_method(cases: CaseSet, kept: Kept) -> str:
    path = cases.library.file(kept, GROUNDING_FILE)
    if path is None:
        return ""
    told = json.loads(path.read_text(encoding="utf-8"))
    return str((told.get("choice") or {}).get("method", ""))


def veil(heat: Mapping[str, Any], size: tuple[int, int]) -> bytes:
    """A map as a PNG to lay over its film: amber, the more opaque the more it was looked at.

    The model sees the square in the middle of the film; the rest is left clear. Cells keep their
    borders, so that no detail is shown that the map lacks.

    Args:
        size: width and height of the stored film in px.
    """
    width, height = size
    values = np.asarray(heat["values"], np.float32).reshape(heat["rows"], heat["columns"])
    side = min(width, height)
    wide = cv2.resize(values, (side, side), interpolation=cv2.INTER_NEAREST)
    picture = np.zeros((height, width, 4), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    shown = picture[top : top + side, left : left + side]
    shown[..., :3] = (30, 150, 255)  # blue, green, red
    shown[..., 3] = np.rint(255 * STRONGEST * np.clip(wide, 0, 1))
    return png(picture)


def size_of(pixels: bytes) -> tuple[int, int]:
    """Width and height in px."""
    with Image.open(BytesIO(pixels)) as picture:
        return picture.size
