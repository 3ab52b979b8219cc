"""Films from disk to batches, decoded and shuffled by two workers, beside Hugging Face's Arrow.

    python -m tests.bench.loading [--films 3000] [--rounds 5]

Both sides read the same JPEGs (512 px, quality 95, drawn phantoms with grain) in a random order of
their own, decode them to grey arrays and stack batches of 32. Theirs: ``datasets`` saved to
disk, memory-mapped, an ``Image`` column, ``DataLoader(shuffle=True)``. Ours: example shards,
``TrainingOrder``. Rounds alternate; each starts its workers anew, as a stage does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader

from models.canvas import Canvas
from models.collate import stacked
from models.data import ExampleShards, Sample, TrainingOrder
from sources.example import Example, ExampleImage, Task, examples_to_table, request_turn
from sources.record import Origin, Split, View
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort
from tests.bench.environments import say
from tests.bench.page import put_section, where_measured
from tests.pixel_samples import jpeg

SIDE_PX = 512
GRAIN = 0.012  # white noise that makes a JPEG of quality 95 about 77 KB, as in the other benches
DRAWN = 60  # distinct films; each is written many times under other ids
SHARD_ROWS, GROUP_ROWS, BATCH, WORKERS = 512, 64, 32, 2
BAR = 1.1


@dataclass(frozen=True)
class Loaded:
    """One pass over all films: films a second, and the ids in their order."""

    rate: float
    ids: tuple[str, ...]


def films() -> list[bytes]:
    """Drawn films as JPEG."""
    pictures = []
    for number, truth in enumerate(draw_cohort(ReplicaSpec(studies=DRAWN, seed=11), "loading")):
        small = np.asarray(draw(truth, View.PA, SIDE_PX // 2).pixels)
        plain = cv2.resize(small, (SIDE_PX, SIDE_PX))
        noise = np.random.default_rng(number).normal(0, GRAIN, plain.shape)
        grey = np.clip((plain + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
        pictures.append(jpeg(grey, 95))
    return pictures


def example(number: int, picture: bytes) -> Example:
    image = ExampleImage(f"i{number}", View.PA, picture, SIDE_PX, SIDE_PX)
    return Example(
        example_id=f"e{number:06d}",
        task=Task.FINDINGS,
        source="mimic_cxr",
        study_id=f"s{number}",
        subject_id=f"p{number}",
        split=Split.TRAIN,
        text_version="keep",
        origin=Origin.RADIOLOGIST,
        images=(image,),
        indication=None,
        turns=(request_turn(Task.FINDINGS, None),),
        target="The lungs are clear. The heart is normal in size.",
    )


def write_ours(folder: Path, pictures: Sequence[bytes], count: int) -> list[Path]:
    """Shards as ``cxr write-examples`` cuts them."""
    paths = []
    for start in range(0, count, SHARD_ROWS):
        rows = range(start, min(start + SHARD_ROWS, count))
        table = examples_to_table([example(n, pictures[n % len(pictures)]) for n in rows])
        paths.append(folder / f"train-{start:06d}.parquet")
        pq.write_table(table, paths[-1], row_group_size=GROUP_ROWS, compression="none")
    return paths


def write_theirs(folder: Path, pictures: Sequence[bytes], count: int) -> Path:
    """The same films as a saved ``datasets`` table."""
    from datasets import Dataset, Features, Image, Value

    features = Features({"example_id": Value("string"), "image": Image()})
    rows = {
        "example_id": [f"e{number:06d}" for number in range(count)],
        "image": [{"bytes": pictures[n % len(pictures)], "path": None} for n in range(count)],
    }
    place = folder / "arrow"
    Dataset.from_dict(rows, features=features).save_to_disk(str(place))
    return place


def stack_ours(samples: Sequence[Sample]) -> tuple[list[str], torch.Tensor]:
    pixels = [sample.pixels for sample in samples if sample.pixels is not None]
    return [sample.example_id for sample in samples], stacked(pixels)


def stack_theirs(rows: Sequence[dict[str, Any]]) -> tuple[list[str], torch.Tensor]:
    pixels = [np.asarray(row["image"].convert("L")) for row in rows]
    return [row["example_id"] for row in rows], torch.from_numpy(np.stack(pixels))


def load(batches: Iterable[tuple[list[str], torch.Tensor]]) -> Loaded:
    started, ids, seen = time.perf_counter(), [], 0
    for names, pixels in batches:
        ids += names
        seen += len(pixels)
    return Loaded(seen / (time.perf_counter() - started), tuple(ids))


def ours(paths: Sequence[Path], seed: int, workers: int = WORKERS, start: int = 0) -> Loaded:
    data = ExampleShards(paths, Canvas(SIDE_PX))
    order = TrainingOrder(data, len(data), seed, start=start)
    return load(DataLoader(data, BATCH, sampler=order, num_workers=workers, collate_fn=stack_ours))


def theirs(place: Path, seed: int) -> Loaded:
    from datasets import load_from_disk

    torch.manual_seed(seed)
    data = load_from_disk(str(place))
    return load(DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS, collate_fn=stack_theirs))


def rounds(folder: Path, count: int, turns: int) -> Iterator[tuple[Loaded, Loaded]]:
    pictures = films()
    mean_kb = statistics.mean(map(len, pictures)) / 1000
    say(f"{count} films of {mean_kb:.0f} KB")
    paths, place = write_ours(folder, pictures, count), write_theirs(folder, pictures, count)
    ours(paths, 0), theirs(place, 0)  # the first round pays for caches
    for turn in range(turns):
        yield ours(paths, turn), theirs(place, turn)
    require_one_order(paths, count)


def require_one_order(paths: Sequence[Path], count: int) -> None:
    """The order is the same for one worker or two, and after going on in the middle."""
    two, one = ours(paths, 1), ours(paths, 1, workers=1)
    assert two.ids == one.ids, "the order depends on the number of workers"
    assert sorted(two.ids) == [f"e{number:06d}" for number in range(count)]
    middle = count // 3 + 5
    assert ours(paths, 1, start=middle).ids == two.ids[middle:], "another order after going on"


def report(pairs: Sequence[tuple[Loaded, Loaded]], count: int) -> list[str]:
    ratios = sorted(own.rate / other.rate for own, other in pairs)
    ratio = statistics.median(ratios)
    own, other = (statistics.median(pair[side].rate for pair in pairs) for side in (0, 1))
    return [
        "Films from disk to stacked batches of 32, decoded and shuffled by two workers, "
        f"{count:,} films of {SIDE_PX} px; medians of {len(pairs)} alternating rounds. The order "
        "was the same for one worker and two, and after going on at a row in the middle.",
        "",
        "| ours | Hugging Face Arrow, map-style | ratio | bar | |",
        "|---:|---:|---:|---:|---|",
        f"| {own:,.0f}/s | {other:,.0f}/s | **{ratio:.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
        f"| {BAR} | {'met' if ratio >= BAR else 'MISSED'} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print, do not write the page")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of datasets' own
    with tempfile.TemporaryDirectory(prefix="cxrflow-loading-") as folder:
        pairs = list(rounds(Path(folder), given.films, given.rounds))
    lines = report(pairs, given.films)
    say("\n".join(lines))
    if not given.dry:
        command = f"`python -m tests.bench.loading --rounds {given.rounds}`"
        head = ["## Loading films", "", f"{where_measured()} {command}", ""]
        put_section("loading", "\n".join([*head, *lines]))
    if any("MISSED" in line for line in lines):
        raise SystemExit("the bar was missed")


if __name__ == "__main__":
    main()
