"""What code made an artifact: the git commit of the checkout, where there is one."""

from __future__ import annotations

import subprocess
from functools import cache

from infra.fingerprint import HOUSE

_DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
"""Without ``--exclude`` a tag's name would take the commit's place."""


@cache
def git_commit() -> str:
    """The checkout's commit, with ``-dirty`` when tracked files differ; ``unknown`` without git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(HOUSE), *_DESCRIBE],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
