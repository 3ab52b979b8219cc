"""A process that does one named piece of work at a time and says how long it took.

Ours and the rivals' run in different environments, so this knows the standard library alone. One
JSON request a line comes in on stdin, one answer goes out on stdout.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PICTURES = 3_000
PICTURE_BYTES = (68_000, 86_000)
"""Sizes of stored pictures: 77 KB on average, a 512 px film as JPEG at quality 95."""

Work = Callable[[Path], int]
"""Does the work on a folder and returns the number of items done."""


def pictures() -> list[bytes]:
    """Bytes that do not compress, in the sizes of stored pictures; equal in every process."""
    source = random.Random(0)
    return [source.randbytes(source.randint(*PICTURE_BYTES)) for _ in range(PICTURES)]


def cpu_seconds() -> float:
    """User and system time of this process and its living children (from /proc: Linux)."""
    ticks = 0
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def serve(works: Mapping[str, Work]) -> None:
    """Answer requests until stdin ends; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        started, cpu = time.perf_counter(), cpu_seconds()
        items = works[request["work"]](Path(request["folder"]))
        seconds = time.perf_counter() - started
        answer = {"items": items, "seconds": seconds, "cpu": cpu_seconds() - cpu}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
