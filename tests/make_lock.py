"""Resolve the newest versions that fit ``pyproject.toml`` into ``requirements.lock``.

    python tests/make_lock.py

``make lock`` calls it. pip resolves in a virtual environment of its own, since what is installed
here must not sway it, and installs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parents[1]
LOCK = HOUSE / "requirements.lock"
OF_OTHER_PYTHONS = ("async-timeout",)
"""What a package needs on a supported Python that may not be the one that resolves: redis, before
3.11.3 (Debian 12 has 3.11.2)."""
HEAD = (
    "# Every package, pinned; made by 'make lock'. torch has no local suffix: see README, "
    "'CPU or CUDA'."
)


def resolve() -> dict[str, Any]:
    """pip's installation report for the project with its tools for development.

    Raises:
        subprocess.CalledProcessError: pip found no versions that fit; it has said why.
    """
    with tempfile.TemporaryDirectory(prefix="cxrflow-lock-") as folder:
        venv.create(folder, with_pip=True)
        python, report = Path(folder) / "bin" / "python", Path(folder) / "report.json"
        told = ["--quiet", "--disable-pip-version-check", "--dry-run", "--ignore-installed"]
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                *told,
                "--report",
                report,
                f"{HOUSE}[dask,dev,ray,stack]",
                *OF_OTHER_PYTHONS,
            ],
            check=True,
        )
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found


def pins(report: Mapping[str, Any]) -> list[str]:
    """``name==version`` of every package but our own, in order, without the build's suffix."""
    both = [(item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"]]
    lines = {f"{name}=={version.partition('+')[0]}" for name, version in both if name != "cxrflow"}
    return sorted(lines, key=str.lower)


def main() -> None:
    """Write the lock file and say how much of it is new."""
    before = set(LOCK.read_text(encoding="utf-8").splitlines()) if LOCK.exists() else set()
    lines = pins(resolve())
    LOCK.write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(lines)} packages, {len(set(lines) - before)} lines new\n")


if __name__ == "__main__":
    main()
