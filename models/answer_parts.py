"""Finished answers of one run, kept in a scratch folder so that a killed run goes on where it was.

    parts/<key>/0-3f2a….parquet    some answers of rank 0: row number and generated ids
    parts/<key>/1-done-<launch>    rank 1 has finished its share; its figures

The key covers the model's and the examples' bytes and all settings, so that answers of another
model never mix in. A part is renamed into place whole; its pages carry checksums.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import ArtifactError
from infra.fingerprint import file_digest, fingerprint
from infra.log import LOGGER
from infra.runs import GenerateRun
from sources.prediction import GENERATED_IDS

PART_SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), GENERATED_IDS])

_LOOK_SECONDS = 0.1  # our choice: how often the first rank looks for the others
_OPENING_ROWS = 3.0
"""What reading an image's opening costs, in answers of one row (our choice, after the CPU bench:
1.3 s beside 0.4 s); it only evens out the ranks' shares."""


@dataclass(frozen=True)
class Rank:
    """This process among those that share the run; a process alone is rank 0 of 1."""

    number: int = 0
    count: int = 1
    launch: str = "alone"

    @classmethod
    def of_process(cls) -> Rank:
        """As torchrun tells it."""
        place = os.environ
        return cls(
            int(place.get("RANK", "0")),
            int(place.get("WORLD_SIZE", "1")),
            place.get("TORCHELASTIC_RUN_ID", "alone"),
        )


def share_of(rank: Rank, images: Sequence[str]) -> list[int]:
    """The rows that a rank answers, given each row's image.

    Rows of one image stay together; the cut depends on nothing but the rows and the number of
    ranks, so that ranks need not speak with each other.
    """
    groups: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        groups.setdefault(image, []).append(row)
    total = len(images) + _OPENING_ROWS * len(groups)
    before, share = 0.0, []
    for rows in groups.values():
        for number, row in enumerate(rows):
            if min(int(before / total * rank.count), rank.count - 1) == rank.number:
                share.append(row)
            before += 1 + (_OPENING_ROWS if number == 0 else 0)
    return share


def run_key(run: GenerateRun) -> str:
    """What the answers depend on: settings, controls, and the bytes of model and examples."""
    told = run.model_dump(mode="json", include={"generate", "controls", "plain_request", "device"})
    model = sorted(path for path in run.model.rglob("*") if path.is_file())
    return fingerprint(
        told
        | {"model": [file_digest(path) for path in model]}
        | {"examples": [file_digest(path) for path in run.examples]}
    )


class AnswerParts:
    """The scratch folder of one run, as one rank uses it.

    Args:
        folder: shared by all ranks.
        every: answers that are kept in one part; no more finished ones are lost by a kill.
    """

    def __init__(self, folder: Path, rank: Rank, every: int) -> None:
        self.folder, self.rank, self.every = folder, rank, every
        self._waiting: dict[int, Sequence[int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Of a launch that was killed: over several nodes all launches of a run have one name.
        self._mark(rank.number).unlink(missing_ok=True)

    def read(self) -> dict[int, tuple[int, ...]]:
        """Generated ids by row, of all ranks and earlier runs; a damaged part is dropped."""
        found: dict[int, tuple[int, ...]] = {}
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                table = pq.read_table(path, page_checksum_verification=True)
            except (pa.ArrowException, OSError) as error:
                LOGGER.warning("kept answers %s are damaged, made again: %s", path.name, error)
                path.unlink(missing_ok=True)
                continue
            columns = (table[name].to_pylist() for name in PART_SCHEMA.names)
            found.update((row, tuple(ids)) for row, ids in zip(*columns, strict=True))
        return found

    def add(self, row: int, ids: Sequence[int]) -> None:
        """Keep one answer, on disk with the next full part."""
        self._waiting[row] = ids
        if len(self._waiting) >= self.every:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one part, whole or absent."""
        if not self._waiting:
            return
        rows = [{"row": row, GENERATED_IDS.name: ids} for row, ids in self._waiting.items()]
        table = pa.Table.from_pylist(rows, schema=PART_SCHEMA)
        name = f"{self.rank.number}-{uuid.uuid4().hex}"
        partial = self.folder / f".{name}.partial"
        pq.write_table(table, partial, write_page_checksum=True)
        partial.replace(self.folder / f"{name}.parquet")
        self._waiting.clear()

    def finish(self, figures: Mapping[str, float]) -> None:
        """Tell the first rank that this one's share is on disk, and how it went."""
        self.flush()
        partial = self.folder / f".{self.rank.number}.figures"
        partial.write_text(json.dumps(figures))
        partial.replace(self._mark(self.rank.number))

    def wait_for_all(self, rows: int, stop: Callable[[], bool]) -> list[dict[str, float]]:
        """The figures of all ranks, once each has finished; none if asked to stop before.

        A mark may be left from a launch before this one and its rank not have begun: so the rows
        must be there too.

        Args:
            rows: of all ranks together.

        Raises:
            ArtifactError: an answer was damaged after its rank had read it or made it.
        """
        marks = [self._mark(number) for number in range(self.rank.count)]
        seen: dict[Path, frozenset[int]] = {}
        while not (all(mark.exists() for mark in marks) and self._all_there(rows, seen)):
            if stop():
                return []
            time.sleep(_LOOK_SECONDS)
        return [json.loads(mark.read_text()) for mark in marks]

    def _all_there(self, rows: int, seen: dict[Path, frozenset[int]]) -> bool:
        """Whether every row is answered; ``seen`` holds the rows of parts that were read before."""
        for path in self.folder.glob("*.parquet"):
            if path not in seen:
                seen[path] = frozenset(_rows_of(path))
        return len(frozenset().union(*seen.values())) >= rows

    def remove(self) -> None:
        """The run is complete: nothing of it is needed any more."""
        shutil.rmtree(self.folder)
        with suppress(OSError):  # it holds another run's answers
            self.folder.parent.rmdir()

    def _mark(self, number: int) -> Path:
        return self.folder / f"{number}-done-{self.rank.launch}"


def _rows_of(part: Path) -> list[int]:
    try:
        rows: list[int] = pq.read_table(part, page_checksum_verification=True)["row"].to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"kept answers {part.name} are damaged ({error}); start again: the others are kept"
        ) from error
    return rows
