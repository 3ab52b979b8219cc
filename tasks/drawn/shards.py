"""One piece of a set of drawn films: the chosen training examples, each with its drawn film.

Files of a piece: ``train-000.parquet``, … (EXAMPLE_SCHEMA), ``drawn.parquet``
(DRAWN_EXAMPLE_SCHEMA: how each film came to be) and ``rejected.parquet``. Held-out examples are
never drawn: what a model is tested on is a film of a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import ArtifactError
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings.sections import DrawnSettings
from sources.drawing import DRAWN_EXAMPLE_SCHEMA
from sources.example import EXAMPLE_IMAGE_TYPE, EXAMPLE_SCHEMA
from sources.learned_views import ViewCounts, is_learned, shown_views
from sources.record import Level, Rejected, Split, rejected_to_table
from tasks.drawn.chosen import is_drawn
from tasks.examples.packing import REJECTED_FILE

DRAWN_FILE: Final = "drawn.parquet"
VIEW_NOT_LEARNED: Final = "view-not-learned"
_VIEW: Final = "images.list.element.view"  # the path of a view inside Parquet's columns
_IDS: Final = ("example_id", "source", "study_id", "subject_id", "split")
_TOLD: Final = ("source", "study_id", "text_version", "origin")
Row = dict[str, Any]


@dataclass(frozen=True)
class DrawnShards:
    """What the pieces of one set are made from.

    Args:
        name: the set's.
        settings: how it was drawn.
        row_group_rows: of its shards.
        films: DRAWING_SCHEMA, by the examples' ids.
        model: fingerprint of the stage that drew them.
        views: what that stage was shown.
    """

    name: str
    settings: DrawnSettings
    row_group_rows: int
    films: Path
    model: str
    views: ViewCounts | None = None

    def pack(self, shards: Sequence[Path], folder: Path) -> BuiltPiece:
        """Write the piece that is made of one piece of the other set, shard by shard.

        Raises:
            ArtifactError: a chosen example has no film.
        """
        told: list[Row] = []
        lost: list[Row] = []
        written = 0
        for path in shards:
            rows = _ids(path)
            chosen = [place for place, row in enumerate(rows) if self._why_lost(row) is None]
            lost += [row for place, row in enumerate(rows) if place not in set(chosen)]
            if chosen:
                table = pq.read_table(path).take(chosen)
                films = self._films(table["example_id"].to_pylist())
                target = folder / f"{Split.TRAIN}-{written:03d}.parquet"
                drawn = self._with_films(table, films)
                write_table(target, drawn, row_group_rows=self.row_group_rows)
                told += list(self._told(table, films))
                written += 1
        write_table(folder / DRAWN_FILE, pa.Table.from_pylist(told, schema=DRAWN_EXAMPLE_SCHEMA))
        rejected = [self._rejected(row) for row in lost]
        write_table(folder / REJECTED_FILE, rejected_to_table(rejected))
        reasons = dict(sorted(Counter(row.reason for row in rejected).items()))
        count = Count("films to draw", len(told) + len(lost), len(told), reasons)
        return BuiltPiece((count,), {"shards": {str(Split.TRAIN): written}})

    def _why_lost(self, row: Row) -> str | None:
        if row["split"] != Split.TRAIN:
            return "held-out"
        if not is_drawn(row, self.settings):
            return "outside-the-share"
        return None if is_learned(row["view"], self.views) else VIEW_NOT_LEARNED

    def _rejected(self, row: Row) -> Rejected:
        reason = self._why_lost(row)
        assert reason is not None, "a row that is lost has a reason"
        known = {"held-out": f"split {row['split']}", VIEW_NOT_LEARNED: f"view {row['view']}"}
        found = known.get(reason, "another subject")
        detail = f"{found}; drawn are {self.settings.share:g} of the subjects of split train"
        if reason == VIEW_NOT_LEARNED:
            shown = " and ".join(shown_views(self.views) or ())
            detail += f", in views that stage {self.settings.stage} was shown: {shown}"
        place = row["source"], Level.EXAMPLE, row["example_id"], row["study_id"]
        return Rejected(*place, reason, detail)

    def _films(self, ids: Sequence[str]) -> list[Row]:
        """The drawn films of examples, in their order."""
        wanted = [("prompt_id", "in", list(ids))]
        columns = ["prompt_id", "seed", "width", "height", "pixels"]
        found = pq.read_table(self.films, columns=columns, filters=wanted).to_pylist()
        by_id: dict[str, Row] = {row["prompt_id"]: row for row in found}
        lacking = [name for name in ids if name not in by_id]
        if lacking:
            raise ArtifactError(
                f"found no drawn film of {len(lacking)} examples for set {self.name}, the first "
                f"is {lacking[0]}; expected one of each; run again"
            )
        return [by_id[name] for name in ids]

    def _with_films(self, table: pa.Table, films: Sequence[Row]) -> pa.Table:
        """EXAMPLE_SCHEMA with ids of this set's own, and the drawn film in the place of the
        published one."""
        views = [(row[0]["image_id"], row[0]["view"]) for row in _named(table)]
        images = [
            [
                {
                    "image_id": f"{image_id}/{self.name}",
                    "view": view,
                    **{key: film[key] for key in ("pixels", "width", "height")},
                }
            ]
            for (image_id, view), film in zip(views, films, strict=True)
        ]
        columns = {name: table[name] for name in table.column_names}
        columns["images"] = pa.array(images, pa.list_(EXAMPLE_IMAGE_TYPE))
        columns["example_id"] = pa.array(
            [self._own(name) for name in table["example_id"].to_pylist()]
        )
        return pa.table([columns[name] for name in EXAMPLE_SCHEMA.names], schema=EXAMPLE_SCHEMA)

    def _told(self, table: pa.Table, films: Sequence[Row]) -> Iterator[Row]:
        """How each film came to be."""
        texts = table.select(["example_id", *_TOLD]).to_pylist()
        for row, film in zip(texts, films, strict=True):
            yield {
                **row,
                "example_id": self._own(row["example_id"]),
                "drawn_of": row["example_id"],
                "seed": film["seed"],
                "stage": self.settings.stage,
                "model": self.model,
                "steps": self.settings.steps,
                "guidance": self.settings.guidance,
            }

    def _own(self, example_id: str) -> str:
        return f"{example_id}/{self.name}"


def _ids(path: Path) -> list[Row]:
    with pq.ParquetFile(path) as file:  # a data set's reader takes no path into a list
        rows: list[Row] = file.read(columns=[*_IDS, _VIEW]).to_pylist()
    return [{"view": row.pop("images")[0]["view"], **row} for row in rows]


def _named(table: pa.Table) -> list[list[Row]]:
    """Ids and views of each example's films, without their pixels."""
    images = table["images"].combine_chunks()
    flat = images.flatten()
    parts = [flat.field(name) for name in ("image_id", "view")]
    named = pa.StructArray.from_arrays(parts, names=["image_id", "view"])
    rows: list[list[Row]] = pa.ListArray.from_arrays(images.offsets, named).to_pylist()
    return rows
