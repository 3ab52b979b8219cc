"""Reads training examples from Parquet shards: filtered, decoded, in a repeatable order.

Shapes: P model image side in px; an example's m pictures are uint8 [m, P, P], grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from torch.utils.data import Dataset, Sampler

from infra.errors import InputError
from models.canvas import Canvas
from models.shards import Group, GroupReader
from models.shards import Pixels as Pixels
from sources.example import Task
from sources.record import Turn
from sources.selection import SELECTED_BY
from sources.selection import Selection as Selection

WINDOW_BYTES = 256 * 2**20
"""Decoded pixels of a shuffling window (our choice). A data set that is no larger is kept decoded
from epoch to epoch; of a larger one no film is asked for again before others have pushed it out."""

_COLUMNS = (
    *("example_id", "source", "study_id", "subject_id", "split", "indication", "turns", "task"),
)


@dataclass(frozen=True)
class Sample:
    """One example as the collators take it; ``pixels`` is None where only text is read, or where
    the example has no image. ``behind`` is the example about a film that it was put behind
    (``models.histories``): the film is that one's."""

    example_id: str
    source: str
    study_id: str
    subject_id: str | None
    split: str
    view: str
    pixels: Pixels | None
    indication: str | None
    turns: tuple[Turn, ...]
    target: str
    task: str = Task.FINDINGS.value
    behind: Sample | None = None


EVERYTHING = Selection()


@dataclass(frozen=True)
class _Group:
    """One row group of one shard: the rows that passed the filter, and their sources."""

    file: Path
    index: int
    rows: tuple[int, ...]
    sources: tuple[str, ...]


class ExampleShards(Dataset[Sample]):
    """Examples of Parquet shards as a map-style data set, kept decoded if all fit into a window.

    Args:
        files: shards of EXAMPLE_SCHEMA; their order and their rows' order give the indices.
        canvas: how films are shown, or None to read text only.
        selection: keep only these examples.
        plain_request: takes the place of a request that tells the exam's indication.

    Raises:
        InputError: a shard is missing or no example is left.
    """

    def __init__(
        self,
        files: Sequence[Path],
        canvas: Canvas | None,
        selection: Selection = EVERYTHING,
        plain_request: str | None = None,
    ) -> None:
        self.canvas, self.plain_request = canvas, plain_request
        found = [_groups(file, selection) for file in files]
        self.groups = [group for groups in found for group in groups]
        self.file_of_group = [number for number, groups in enumerate(found) for _ in groups]
        self.starts = np.cumsum([0, *(len(group.rows) for group in self.groups)])
        self._reader = GroupReader([*_COLUMNS, "target"])
        self._decoded: dict[int, Sample] = {}
        self._lengths: dict[int, list[int]] = {}
        if not len(self):
            raise InputError(
                f"no example of {selection} in {len(files)} shards",
                "at least one",
                "check the stage's sources, text_versions and share, and the examples' funnel",
            )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Sample:
        if index in self._decoded:
            return self._decoded[index]
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        group = self.groups[number]
        held = self._reader.group(
            group.file, group.index, group.rows, pictures=self.canvas is not None
        )
        sample = _sample(held, index - int(self.starts[number]), self.canvas)
        if self.plain_request is not None and sample.indication is not None:
            sample = replace(sample, turns=(Turn("user", self.plain_request), *sample.turns[1:]))
        if len(self) <= self.window_rows:
            self._decoded[index] = sample
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def source_of(self, index: int) -> str:
        """The source of an example, without reading it."""
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.groups[group].sources[index - int(self.starts[group])]

    def length_of(self, index: int) -> int:
        """Characters of an example's turns and target; its pixels are not read."""
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        if number not in self._lengths:
            group = self.groups[number]
            shard = pq.ParquetFile(group.file)
            texts = shard.read_row_group(group.index, columns=["turns", "target"])
            rows = texts.take(list(group.rows)).to_pylist()
            self._lengths[number] = [
                len(row["target"]) + sum(len(turn["text"]) for turn in row["turns"]) for row in rows
            ]
        return self._lengths[number][index - int(self.starts[number])]

    @property
    def window_rows(self) -> int:
        """Rows whose pixels fit into WINDOW_BYTES."""
        side_px = self.canvas.side_px if self.canvas else 1
        return max(1, WINDOW_BYTES // side_px**2)


class TrainingOrder(Sampler[int]):
    """Indices for a whole stage: as many epochs as needed, each in its own seeded order.

    Row groups are shuffled, then rows within windows of whole groups, so that far shards are read
    in long runs. The order depends on the shards and the seed, never on processes or workers, and
    one flat list makes a resumed stage a plain skip.

    Args:
        rows: how many indices to give.
        one_source: rows of a batch that all come from one source; 0 mixes sources. What fills no
            batch of its own source (all of a small one) is mixed into batches together; less than
            one such batch per window waits for the next epoch, whose shuffle leaves out others.
        start: how many indices to pass over: a reader goes on at any row. (A resumed stage goes on
            at its step: there the trainer's own loader passes over rows, unread.)
        like_length: rows of a batch whose texts are about equally long; 0 mixes lengths. What
            fills no batch in a window waits too.
        groups: of these row groups alone; None are all.
    """

    def __init__(
        self,
        data: ExampleShards,
        rows: int,
        seed: int,
        one_source: int = 0,
        like_length: int = 0,
        start: int = 0,
        groups: range | None = None,
    ) -> None:
        assert not (one_source and like_length), "batches are of one source or of like length"
        self.data, self.rows, self.seed, self.start = data, rows, seed, start
        self.groups = range(len(data.groups)) if groups is None else groups
        self.one_source, self.like_length = one_source, like_length
        size = one_source or like_length
        if size and not any(True for _ in self._epoch(0)):
            raise InputError(
                f"{len(data)} examples, fewer than a batch of {size}",
                "at least one batch",
                "lower the stage's batch_size",
            )

    def __len__(self) -> int:
        return max(0, self.rows - self.start)

    def __iter__(self) -> Iterator[int]:
        return islice(self._all(), self.start, None)

    def _all(self) -> Iterator[int]:
        given, epoch = 0, 0
        while given < self.rows:
            for index in self._epoch(epoch):
                if given == self.rows:
                    return
                given += 1
                yield index
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, epoch])
        window: list[int] = []
        for group in self.groups.start + rng.permutation(len(self.groups)):
            window.extend(range(self.data.starts[group], self.data.starts[group + 1]))
            if len(window) >= self.data.window_rows:
                yield from self._shuffled(window, rng)
                window = []
        yield from self._shuffled(window, rng)

    def _shuffled(self, window: list[int], rng: np.random.Generator) -> list[int]:
        shuffled: list[int] = rng.permutation(np.asarray(window, dtype=np.int64)).tolist()
        if self.one_source:
            return self._of_one_source(shuffled, rng)
        if self.like_length:
            return self._of_like_length(shuffled, rng)
        return shuffled

    def _of_like_length(self, shuffled: list[int], rng: np.random.Generator) -> list[int]:
        """Who waits is left to the shuffle: it must not always be the longest."""
        whole = len(shuffled) - len(shuffled) % self.like_length
        batches = _cut(sorted(shuffled[:whole], key=self.data.length_of), self.like_length)
        return [index for batch in rng.permutation(len(batches)) for index in batches[batch]]

    def _of_one_source(self, shuffled: list[int], rng: np.random.Generator) -> list[int]:
        by_source: dict[str, list[int]] = {}
        for index in shuffled:
            by_source.setdefault(self.data.source_of(index), []).append(index)
        batches: list[list[int]] = []
        left: list[int] = []
        for _, rows in sorted(by_source.items()):
            own = len(rows) - len(rows) % self.one_source
            batches += _cut(rows[:own], self.one_source)
            left += rows[own:]
        batches += _cut([left[place] for place in rng.permutation(len(left))], self.one_source)
        return [index for batch in rng.permutation(len(batches)) for index in batches[batch]]


def _cut(rows: list[int], size: int) -> list[list[int]]:
    """Whole batches; fewer rows than that at the end are left out."""
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def _groups(file: Path, selection: Selection) -> list[_Group]:
    if not file.is_file():
        raise InputError(f"no file {file}", "a shard of examples", "run 'cxr write-examples'")
    shard = pq.ParquetFile(file)
    groups = []
    for index in range(shard.num_row_groups):
        table = shard.read_row_group(index, columns=list(SELECTED_BY)).to_pylist()
        rows = tuple(place for place, row in enumerate(table) if selection.keeps(row))
        if rows:
            groups.append(_Group(file, index, rows, tuple(table[row]["source"] for row in rows)))
    return groups


def _sample(group: Group, place: int, canvas: Canvas | None) -> Sample:
    row = group.rows[place]
    shown = canvas is not None and group.pictures[place]
    pixels = canvas.pictures(shown) if canvas is not None and shown else None
    fields = {name: row[name] for name in _COLUMNS if name != "turns"}
    turns = tuple(Turn(**turn) for turn in row["turns"])
    return Sample(**fields, view=row["view"], pixels=pixels, turns=turns, target=row["target"])
