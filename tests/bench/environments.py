"""Environments of the rivals' own under ``bench-work/``: pinned, made once, kept between runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
WORK = HOUSE / "bench-work"
REASON_CHARACTERS = 120
Steps = Sequence[Sequence[str]]
"""What pip is told to install, call by call."""


class Unavailable(Exception):
    """A rival that cannot be installed here; the message is its reason on one line."""


def python_of(folder: Path, steps: Steps) -> Path:
    """The interpreter of an environment, which is made anew when it holds other pins.

    Raises:
        Unavailable: pip could not install them.
    """
    python, ready = folder / "bin" / "python", folder / "ready"
    pins = "\n".join(" ".join(step) for step in steps)
    if ready.exists() and ready.read_text(encoding="utf-8") == pins:
        return python
    say(f"installing {folder.name} into {folder} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for step in steps:
        _install(python, step)
    ready.write_text(pins, encoding="utf-8")
    return python


def _install(python: Path, step: Sequence[str]) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *step], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"unavailable: pip cannot install {step[-1]}: {reason(done.stderr)}")


def reason(text: str) -> str:
    """The last error that a program told, on one line that fits a table, without addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(ERROR:|\w+(\.\w+)*(Error|Exception)\b)", line)]
    last = (errors or lines or ["no reason was told"])[-1].removeprefix("ERROR:").strip()
    plain = re.sub(r"\w+://\S+|(?<!\w)/\S+", "…", last).replace("|", "/")
    return plain if len(plain) <= REASON_CHARACTERS else plain[: REASON_CHARACTERS - 1] + "…"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
