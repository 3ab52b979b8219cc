"""The lines of ``infra.tree_lines`` for trees of any size: wide folders are shared among helpers.

To ask a million files for size and time takes one process ten seconds, half of them in Python; on a
network disk it takes as long as the answers are under way. Helpers are processes that hold nothing
but the lines they are asked for, a few folders at a time, and the lines come in the order of paths
however many there are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from infra.errors import WorkerLost
from infra.tree_lines import encoded, entries_of, line_of, receive, send

ALONE = 5000
"""Our choice: so many names take 50 ms, as long as helpers need to start."""
MOST_HELPERS = 8
"""Our choice: more would wait for the disk, or for the process that puts lines in order."""
WIDE, BATCH = 16, 64
"""Our choice: a folder of ``WIDE`` folders is shared, ``BATCH`` of them at a time (of a published
tree's persons some 800 names, 5 ms)."""
AHEAD = 8
"""Batches asked for before the first must be there, for each helper. Our choice: about 1 MB."""
_HELPER = Path(__file__).with_name("tree_lines.py")


def lines_under(root: Path) -> Iterator[bytes]:
    """The lines of all files under a folder in blocks, in the order of their paths.

    Raises:
        WorkerLost: a helper died.
    """
    number = min(MOST_HELPERS, len(os.sched_getaffinity(0)))
    helpers = _Helpers(root, number)
    waiting: deque[bytes | Future[bytes]] = deque()
    try:
        for part in _Parts(share=number > 1).of(str(root), ""):
            waiting.append(part if isinstance(part, bytes) else helpers.ask(part))
            if len(waiting) > AHEAD * number:
                yield _answer(waiting.popleft())
        while waiting:
            yield _answer(waiting.popleft())
    finally:
        helpers.close()


def _answer(part: bytes | Future[bytes]) -> bytes:
    return part if isinstance(part, bytes) else part.result()


class _Parts:
    """Cuts a tree into lines and lists of folders whose lines others tell, in the paths' order."""

    def __init__(self, *, share: bool) -> None:
        self._share = share
        self._seen = 0

    def of(self, folder: str, above: str) -> Iterator[bytes | list[str]]:
        entries = entries_of(folder)
        self._seen += len(entries)
        folders = sum(name[-1] == "/" for name, _ in entries)
        shared = self._share and self._seen > ALONE and folders >= WIDE
        lines: list[str] = []
        batch: list[str] = []
        for name, entry in entries:
            is_folder = name[-1] == "/"
            if lines and is_folder:
                yield encoded(lines)
                lines = []
            if batch and (not is_folder or len(batch) == BATCH):
                yield batch
                batch = []
            if not is_folder:
                lines.append(line_of(above, name, entry))
            elif shared:
                batch.append(above + name)
            else:
                yield from self.of(entry.path, above + name)
        yield batch or encoded(lines)


class _Helpers:
    """Processes that tell lines; they start when they are first asked. Close them."""

    def __init__(self, root: Path, number: int) -> None:
        self._root, self._number = root, number
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="walk")
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []

    def ask(self, folders: list[str]) -> Future[bytes]:
        """The lines of everything below these folders, whose paths are relative to the root."""
        if not self._all:
            self._all = [self._start() for _ in range(self._number)]
            for helper in self._all:
                self._free.put(helper)
        return self._threads.submit(self._ask, "\0".join(folders))

    def close(self) -> None:
        """End them all, whatever they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for helper in self._all:
            helper.kill()  # they only read
            helper.wait()
        self._threads.shutdown()
        for helper in self._all:
            assert helper.stdin is not None and helper.stdout is not None
            with suppress(BrokenPipeError):  # what it was being asked when it was ended
                helper.stdin.close()
            helper.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", "-X", "utf8", str(_HELPER)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self._root, stdin=pipe, stdout=pipe)

    def _ask(self, folders: str) -> bytes:
        helper = self._free.get()
        try:
            assert helper.stdin is not None and helper.stdout is not None
            with suppress(BrokenPipeError):  # then nothing will be received
                send(helper.stdin, folders.encode(errors="surrogateescape"))
            lines = receive(helper.stdout)
            if lines is None:
                raise WorkerLost("the walk over raw files", f"exit code {helper.wait()}")
            return lines
        finally:
            self._free.put(helper)
