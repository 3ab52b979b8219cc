"""What a command and all its children hold in memory, sampled while it runs."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_SECONDS = 0.25
"""Our choice: what a step holds, it holds for longer; a look at ten processes takes some 5 ms."""


@dataclass(frozen=True)
class Watched:
    """One command: seconds on the clock, processor seconds of the tree, peak bytes, its output."""

    wall: float
    cpu: float
    peak_bytes: int
    output: str


def run_watched(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Watched:
    """Run a command to its end.

    Memory is the proportional set size: what several processes share counts once.

    Raises:
        SystemExit: it failed; its last lines are the message.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("w") as errors:
        child = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=subprocess.PIPE, stderr=errors,
            text=True,
        )  # fmt: skip
    watch = _Watch(child.pid)
    watch.start()
    output, _ = child.communicate()
    watch.stop.set()
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode != 0:
        raise SystemExit(f"{command[-1]} ended with {child.returncode}: {log.read_text()[-600:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Watched(time.monotonic() - started, cpu, watch.peak, output)


class _Watch(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(name="memory", daemon=True)
        self._pid = pid
        self.stop = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self.stop.wait(EVERY_SECONDS):
            self.peak = max(self.peak, tree_bytes(self._pid))


def tree_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it, in bytes; 0 when it is gone."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_bytes_of, tree))


def _bytes_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
