"""Seven sources from raw files to a plan of training examples, at several sizes.

    python -m tests.bench.scale [--studies 7000,70000] [--folder bench-work/scale] [--keep]
                                [--resume]

Films are of 32 px; tables, ids and reports are as many and as long as real ones. Answers lie in the
cache, as after a first run. Each command is a process of its own, whose tree is watched. What it
holds beyond its imports is told by the same command over 280 studies. Writes its section of
``docs/benchmarks.md``; 700,000 studies take an hour and a half and 11 GB. What was measured of a
size lies in the folder as ``STUDIES.json``, and ``--resume`` takes it from there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.context import Order
from tests.bench.environments import HOUSE, WORK, say
from tests.bench.page import REPORT, put_section, where_measured
from tests.bench.scale_world import order_of
from tests.bench.tree_memory import Watched, run_watched

SMALLEST = 280
"""Studies of the run whose cost is taken for fixed: imports, Prefect's server, small pieces. Fewer
leave VinDr-CXR without a test film, and its reader refuses that."""
PEAK_BYTES, GROWTH, NOTHING_SECONDS = 2 << 30, 1.3, 10.0
"""The bars: memory beyond imports, cost per row at the largest size over that at a tenth of it, and
a run that finds everything."""
COMMANDS = (
    ("ingest", ("ingest",)),
    ("reports", ("write-reports",)),
    ("examples", ("write-examples",)),
    ("nothing to do", ("write-examples",)),
    ("plan", ("run", "--dry-run")),
)
BUILDING = ("ingest", "reports", "examples")
CLI = "import sys; from flows.cli import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Size:
    """All commands over that many studies; ``steps`` has seconds by kind of artifact."""

    studies: int
    commands: Mapping[str, Watched]
    steps: Mapping[str, float]
    raw_bytes: int
    data_bytes: int

    def seconds(self, smallest: Size | None) -> float:
        """Processor seconds of all that is built, less what the smallest run takes."""
        fixed = sum(smallest.commands[name].cpu for name in BUILDING) if smallest else 0.0
        return sum(self.commands[name].cpu for name in BUILDING) - fixed

    def peak(self, smallest: Size) -> tuple[int, str]:
        """Most bytes beyond the smallest run's, and of which command."""
        return max(
            (watched.peak_bytes - smallest.commands[name].peak_bytes, name)
            for name, watched in self.commands.items()
        )


def measure(folder: Path, studies: int) -> Size:
    """Make the raw data, unless it is there, and run every command once."""
    folder.mkdir(parents=True, exist_ok=True)
    _world("raw", folder, str(studies))
    shutil.rmtree(folder / "data", ignore_errors=True)
    order = order_of(folder)
    found: dict[str, Watched] = {}
    steps: dict[str, float] = {}
    for name, command in COMMANDS:
        if name == "reports":
            _world("answers", folder)
        watched = run_watched(
            [sys.executable, "-c", CLI, *command, *_options(order), "--json"],
            _environment(),
            folder,
            folder / "stderr.log",
        )
        found[name] = watched
        say(f"{studies:>9,} {name:14} {watched.wall:8.1f} s, {watched.cpu:8.1f} s of processors, "
            f"{watched.peak_bytes / 2**20:7,.0f} MiB")  # fmt: skip
        if name in BUILDING:
            steps |= _by_kind(watched.output)
    return Size(studies, found, steps, _bytes(folder / "raw"), _bytes(folder / "data"))


def _measured(folder: Path, studies: int, *, resume: bool, keep: bool) -> Size:
    """Measure one size, unless that was done before."""
    told = folder / f"{studies}.json"
    if resume and told.exists():
        found = json.loads(told.read_text())
        commands = {name: Watched(**each) for name, each in found.pop("commands").items()}
        say(f"{studies:>9,} measured before: {told}")
        return Size(commands=commands, **found)
    size = measure(folder / str(studies), studies)
    told.write_text(json.dumps(asdict(size)))
    if not keep:
        shutil.rmtree(folder / str(studies))
    return size


def _world(what: str, folder: Path, *rest: str) -> None:
    command = [sys.executable, "-m", "tests.bench.scale_world", what, str(folder), *rest]
    subprocess.run(command, cwd=HOUSE, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    places = {"PYTHONPATH": str(HOUSE), "DO_NOT_TRACK": "1", "CXR_WORKERS": "2"}
    # an hour of measuring must not end with one slow start
    places["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "600"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CXR_")}
    return {**ours, **places, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def _options(order: Order) -> Iterator[str]:
    yield from ("--recipe", order.recipe, "--scale", order.scale, "--data-root")
    yield str(order.data_root)
    for override in order.overrides:
        yield from ("--set", override)
    for source in order.sources:
        yield from ("--source", source)


def _by_kind(output: str) -> dict[str, float]:
    """Seconds by kind of artifact, of those that were built."""
    found: dict[str, float] = {}
    for step in json.loads(output)["steps"]:
        if step["built"]:
            kind = step["key"].partition("/")[0]
            found[kind] = found.get(kind, 0.0) + step["seconds"]
    return found


def _bytes(folder: Path) -> int:
    """Bytes on disk, whole blocks."""
    said = subprocess.run(["du", "-sk", folder], capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0]) << 10


def report(smallest: Size, sizes: list[Size]) -> tuple[str, list[str]]:
    """The section, and the bars that were missed."""
    rows = [_row(size, smallest) for size in sizes]
    missed = _missed(smallest, sizes)
    fixed = sum(smallest.commands[name].cpu for name in BUILDING)
    lines = [
        "## Scale",
        "",
        where_measured(),
        "`python -m tests.bench.scale` simulates seven sources in their published proportions:",
        "tables, ids and texts of real size, films of 32 px, answers replayed from Parquet.",
        f"CPU time is that of a command's whole tree; {fixed:.0f} s of it are fixed (the same",
        f"over {SMALLEST} studies) and not counted per study. Memory is the peak proportional set",
        "size of the tree, less that of the same command over those few studies.",
        "[scale.md](scale.md) says more.",
        "",
        "| studies | CPU a study | memory beyond imports | nothing to do | plan | raw, data |",
        "|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        "Seconds on the clock by kind of artifact:",
        "",
        "| studies | " + " | ".join(sizes[-1].steps) + " |",
        "|---:|" + "---:|" * len(sizes[-1].steps),
        *(
            f"| {size.studies:,} | " + " | ".join(f"{s:,.0f}" for s in size.steps.values()) + " |"
            for size in sizes
        ),
        "",
        "; ".join(missed) or "All bars met.",
    ]
    return "\n".join(lines), missed


def _row(size: Size, smallest: Size) -> str:
    peak, where = size.peak(smallest)
    each = 1000 * size.seconds(smallest) / size.studies
    nothing, plan = size.commands["nothing to do"], size.commands["plan"]
    return (
        f"| {size.studies:,} | {each:.2f} ms | {peak / 2**20:,.0f} MiB ({where}) | "
        f"{nothing.wall:.1f} s | {plan.wall:.1f} s | "
        f"{size.raw_bytes / 1e9:.1f}, {size.data_bytes / 1e9:.1f} GB |"
    )


def _missed(smallest: Size, sizes: list[Size]) -> list[str]:
    last = sizes[-1]
    found = []
    peak, where = last.peak(smallest)
    if peak > PEAK_BYTES:
        found.append(f"MISSED: {peak / 2**30:.2f} GiB beyond imports in {where}; bar 2")
    if len(sizes) > 1:
        tenth = sizes[-2]
        growth = (last.seconds(smallest) / last.studies) / (tenth.seconds(smallest) / tenth.studies)
        if growth > GROWTH:
            found.append(f"MISSED: a study costs {growth:.2f} times that of the smaller run")
    # the fixed start of a command is no check of what is there
    nothing = last.commands["nothing to do"].wall - smallest.commands["nothing to do"].wall
    if nothing > NOTHING_SECONDS:
        found.append(f"MISSED: {nothing:.1f} s to find that there is nothing to do")
    return found


def main() -> None:
    """Measure the smallest size, then each that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", default="7000,70000")
    parser.add_argument("--folder", type=Path, default=WORK / "scale")
    parser.add_argument("--keep", action="store_true", help="raw data and artifacts")
    parser.add_argument("--resume", action="store_true", help="sizes measured before stand")
    options = parser.parse_args()
    folder = options.folder.absolute()
    sizes = [
        _measured(folder, studies, resume=options.resume, keep=options.keep)
        for studies in (SMALLEST, *map(int, options.studies.split(",")))
    ]
    text, missed = report(sizes[0], sizes[1:])
    put_section("scale", text)
    say(f"written: {REPORT.relative_to(HOUSE)}")
    if missed:
        raise SystemExit("; ".join(missed))


if __name__ == "__main__":
    main()
