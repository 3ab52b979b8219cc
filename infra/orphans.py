"""Ends what a killed run would leave behind: Prefect's temporary server.

Prefect stops its server at a regular exit; after ``kill -9`` it would serve nobody for ever, one
more for each kill, all on one database. So a run starts a watch, ``python -m infra.orphans MARK``,
whose stdin closes when the run is gone, however it went. Processes that inherited the run's mark in
their environment are then ended. Trainers and pool workers watch their parent by themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress

import psutil

MARK = "CXRFLOW_RUN"
_GRACE_SECONDS = 5.0  # our choice: the server's own shutdown takes about one


def watch_over_children() -> subprocess.Popen[bytes]:
    """Mark this process's environment and start the watch; call before children are started."""
    mark = os.environ[MARK] = uuid.uuid4().hex
    return subprocess.Popen(
        [sys.executable, "-m", "infra.orphans", mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_marked(mark: str) -> int:
    """End all processes but this one that carry the mark; how many there were."""
    marked = [each for each in psutil.process_iter() if _carries(each, mark)]
    for each in marked:
        with suppress(psutil.Error):
            each.terminate()
    _, alive = psutil.wait_procs(marked, timeout=_GRACE_SECONDS)
    for each in alive:
        with suppress(psutil.Error):
            each.kill()
    return len(marked)


def _carries(process: psutil.Process, mark: str) -> bool:
    """Other users' processes cannot be read, and are not ours."""
    with suppress(psutil.Error):
        return process.pid != os.getpid() and bool(process.environ().get(MARK) == mark)
    return False


if __name__ == "__main__":
    sys.stdin.read()
    end_marked(sys.argv[1])
