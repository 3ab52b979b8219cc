"""docs/bad-input.md, from the kinds that the tests hold."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tests.damage import (
    test_archives,
    test_images,
    test_places,
    test_questions,
    test_reports,
    test_rows,
    test_shards,
    test_tables,
)
from tests.damage.kinds import Kind

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
FAMILIES: dict[str, tuple[Kind, ...]] = {
    "Tables": test_tables.KINDS,
    "Rows": test_rows.KINDS,
    "Archives": test_archives.KINDS,
    "Images": test_images.KINDS,
    "Reports and annotations": test_reports.KINDS,
    "Questions": test_questions.KINDS,
    "Pictures inside Parquet": test_shards.KINDS,
    "Settings, variables and places": test_places.KINDS,
}
INTRODUCTION = """# Bad input, and what you see

<!-- Written by `python -m tests.damage`; a test holds it to the tests in tests/damage. -->

Two rules. What is wrong with a source, a setting or a place **as a whole** ends the command before
anything is built on it: one line `error: found …; expected …; what to do`, exit code 2. What is
wrong with **one row, report or file** rejects that one with a reason and a detail, and all others
go on; the counts of every step add up, and `rejected.parquet` beside each step's rows lists them.
No line and no detail quotes a report or names a person. Finished pieces are kept: mend the fault,
run the same command again.

Below, `{kinds}` kinds of damage. `PATH`, `ROOT`, `NAME` and `N` stand for what was met.
"""


def page_text() -> str:
    """The whole page."""
    total = len(list(chain.from_iterable(FAMILIES.values())))
    parts = [INTRODUCTION.replace("`{kinds}`", str(total))]
    for family, kinds in FAMILIES.items():
        parts += [f"## {family}", "", "| What is wrong | Where | What you see |", "|---|---|---|"]
        parts += [
            f"| {_cell(k.name)} | {_cell(k.where)} | {_cell(_shown(k.sees))} |" for k in kinds
        ]
        parts.append("")
    return "\n".join(parts)


def _shown(line: str) -> str:
    for field, word in (("{path}", "PATH"), ("{size}", "N"), ("{where}", "")):
        line = line.replace(field, word)
    return line


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
