"""``docs/benchmarks.md``: each measurement rewrites its own section and leaves the others."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

REPORT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
TITLE = "# Benchmarks\n"


def put_section(name: str, text: str, page: Path = REPORT) -> None:
    """Write a section between its marks, where it was or at the end."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{first}\n{text.strip()}\n{last}"
    found = page.read_text(encoding="utf-8") if page.exists() else TITLE
    before, is_there, rest = found.partition(first)
    _, ends, after = rest.partition(last)
    found = before + section + after if is_there and ends else f"{found.rstrip()}\n\n{section}\n"
    page.write_text(found, encoding="utf-8")


def where_measured() -> str:
    """Date and machine, as every section tells them."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores, {memory:.0f} GiB,\n"
        f"Python {platform.python_version()}, {platform.system()}."
    )
