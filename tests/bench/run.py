"""Measure ours and the rivals in turn, A B A B, and write their section of ``docs/benchmarks.md``.

    python -m tests.bench.run [--rounds 9] [--only jpeg,read] [--rivals FOLDER]

The rivals get an environment of their own under ``bench-work/`` (made once, about 2 GB).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.environments import HOUSE, WORK, Unavailable, python_of, say
from tests.bench.inputs import write_films
from tests.bench.page import REPORT, put_section, where_measured

REQUIREMENTS = Path(__file__).with_name("rivals.txt")
WARM_UP = 2  # the second still pays for memory that the first one freed
TORCHXRAYVISION = "torchxrayvision==1.5.7"


@dataclass(frozen=True)
class Race:
    """One measurement: what is done, by whom, and how much faster ours must be."""

    work: str
    title: str
    rival: str
    bar: float
    goal: float


RACES = (
    Race(
        "jpeg",
        "JPEG 3056x2544 → 512 px → JPEG, 2 processes",
        "img2dataset 1.47.0 resizer",
        1.5,
        1.6,
    ),
    Race(
        "dicom",
        "DICOM 3056x2544, 16 bits, MONOCHROME1 → 512 px grey, 1 process",
        "torchxrayvision 1.5.7 reader + OpenCV area",
        2.5,
        3.0,
    ),
    Race(
        "write",
        "write shards of 77 KB pictures, with checksums (ours, 2 threads), 1 process",
        "webdataset 0.2.111",
        4.0,
        4.0,
    ),
    Race(
        "read",
        "read them raw, every byte touched, 1 process",
        "litdata 0.2.76",
        1.3,
        1.3,
    ),
)


@dataclass(frozen=True)
class Rate:
    """Items per second of wall time, and per second of processor time."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """Rates of both sides in every round; ratios are taken round by round."""

    race: Race
    pairs: tuple[tuple[Rate, Rate], ...]

    @property
    def ratio(self) -> float:
        return statistics.median(ours.wall / theirs.wall for ours, theirs in self.pairs)

    @property
    def cpu_ratio(self) -> float:
        return statistics.median(ours.cpu / theirs.cpu for ours, theirs in self.pairs)

    @property
    def verdict(self) -> str:
        if self.ratio >= self.race.goal:
            return "goal met"
        return "bar met" if self.ratio >= self.race.bar else "BAR MISSED"

    def row(self) -> str:
        """One row of the report's table."""
        ratios = sorted(ours.wall / theirs.wall for ours, theirs in self.pairs)
        ours, theirs = (
            statistics.median(pair[side].wall for pair in self.pairs) for side in (0, 1)
        )
        return (
            f"| {self.race.title} | {ours:,.0f}/s | {self.race.rival} {theirs:,.0f}/s "
            f"| **{self.ratio:.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {self.cpu_ratio:.2f} "
            f"| {self.race.bar:g} ({self.race.goal:g}) | {self.verdict} |"
        )


class Side:
    """A worker process of one side, warm between requests."""

    def __init__(self, python: Path, module: str) -> None:
        places = {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "DO_NOT_TRACK": "1"}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-m", module],
            cwd=HOUSE,
            env={**os.environ, **places},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def rate(self, work: str, folder: Path) -> Rate:
        """Do the work once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"work": work, "folder": str(folder)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the worker for {work} ended with {self._process.wait()}")
        timing = json.loads(answer)
        items = timing["items"]
        return Rate(items / timing["seconds"], items / max(timing["cpu"], 0.01))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(races: Sequence[Race], rounds: int, python: Path) -> list[Result]:
    """Run every race: WARM_UP rounds that do not count, then ``rounds`` pairs in turn."""
    write_films(WORK / "films")
    results = []
    for race in races:
        folder = WORK / ("films" if race.work in ("jpeg", "dicom") else "shards")
        folder.mkdir(parents=True, exist_ok=True)
        ours = Side(Path(sys.executable), "tests.bench.ours")
        theirs = Side(python, "tests.bench.rivals")
        if race.work == "read":
            ours.rate("write", folder)
            theirs.rate("chunk", folder)
        pairs = []
        for _ in range(rounds + WARM_UP):
            rates = []
            for side in (ours, theirs):
                if race.work == "write":
                    _empty(folder)
                    side.rate(race.work, folder)  # not counted: whoever writes after a pause pays
                    _empty(folder)  # for fresh pages of memory
                rates.append(side.rate(race.work, folder))
            pairs.append((rates[0], rates[1]))
        pairs = pairs[WARM_UP:]
        ours.close()
        theirs.close()
        result = Result(race, tuple(pairs))
        say(result.row())
        results.append(result)
    return results


def _empty(folder: Path) -> None:
    """Remove what was written, and let the disk settle: its queue is nobody's work."""
    shutil.rmtree(folder)
    folder.mkdir()
    os.sync()


def report(results: Sequence[Result], rounds: int) -> str:
    """The page, in Markdown."""
    lines = [
        "## Pixels and shards",
        "",
        "`make bench` (`python -m tests.bench.run`) measures ours and the rivals in turn, each",
        "side in a warm process, and rewrites this page. The rate is the median over",
        f"{rounds} rounds; the ratio is the median of the rounds' ratios, with their range. Bars",
        "are ratios, because the machine's speed drifts; the ratio of processor times, which",
        "other work on the machine disturbs less, stands beside it.",
        "",
        f"{where_measured()} Warm page cache.",
        "",
        "| work | ours | rival | ratio | by CPU time | bar (goal) | |",
        "|---|---|---|---|---|---|---|",
        *[result.row() for result in results],
        "",
        NOTES,
    ]
    return "\n".join(lines)


NOTES = """### What is measured

- **JPEG**: grey films of quality 95 whose grain makes them 1.5 MB large, the mean of
  MIMIC-CXR-JPG; larger files spend more of their time in Huffman decoding, which no scale spares.
  Ours is all of `sources.pixels.prepare` with area resampling (the rival's filter): header checks,
  decoding at a quarter, resampling, flat-image check, perceptual hash, encoding. The rival gets no
  download and no tar.
- **DICOM**: uncompressed, with a window. Ours reads the header tags it needs, views the pixels in
  place, halves, resamples, then windows and inverts; the rival decodes, inverts and scales
  all 7.8 million pixels and applies no window (its default), and gets OpenCV's fastest resize.
- **Writing**: both sides store the same rows, a picture and eleven short columns, in shards of 512,
  one process each with the number of threads that serves it best. Ours are Parquet with the
  xxh3-128 of each file, written by two threads, as `cxr write-examples` does; webdataset writes a
  `jpg` and a `json` member a row through its default encoder, without a checksum, by one thread
  (by two it is a fifth slower, because they hold Python's lock). One thread against one, ours is
  about 2.4 times as fast. Each side writes once uncounted before every counted time.
- **Reading**: both sides hash every picture with xxh3-64. Ours maps the file and views a row group
  at a time; litdata's `StreamingDataset` reads its local chunks in order, at its defaults (its
  `batch_decode` settings made no difference beyond noise).
"""


def main() -> None:
    """Parse the command line, measure, write the page unless only a part was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(race.work for race in RACES))
    parser.add_argument("--rivals", type=Path, default=WORK / "rivals")
    options = parser.parse_args()
    wanted = options.only.split(",")
    races = [race for race in RACES if race.work in wanted]
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    try:
        python = python_of(options.rivals, [pins, ["--no-deps", TORCHXRAYVISION]])
    except Unavailable as error:
        raise SystemExit(f"the rivals are {error}") from error
    results = measure(races, options.rounds, python)
    if len(races) == len(RACES):
        put_section("pixels and shards", report(results, options.rounds))
        say(f"written: {REPORT.relative_to(HOUSE)}")
    if any(result.ratio < result.race.bar for result in results):
        raise SystemExit("a bar was missed")


if __name__ == "__main__":
    main()
