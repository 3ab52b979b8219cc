"""Write the files of a submission, whole or not at all, and check what was written.

Of each section two files: ``<part>-<section>.txt``, one report a line in the order of the set's
rows, and ``<part>-<section>.jsonl``, the same with what each row is (``question_id`` and ``text``,
as the authors' evaluation takes answers). ``submission.json`` says what made them. Which of a
set's rows want a section is the set's to say, and each has its line: a leaderboard compares by
place alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from infra.errors import InputError
from infra.launch import Event
from infra.provenance import git_commit
from infra.store import AT_FIRST, ON_USE, explained_place, make_folder
from sources.example import one_line
from tasks.context import Context
from tasks.submit.answers import answer, require_made
from tasks.submit.rows import SECTIONS, asked_rows

SOURCE: Final = "rrg24"
RECEIPT: Final = "submission.json"


@dataclass(frozen=True)
class Answered:
    """One section's file: ``filled`` rows had no film, or an empty answer, and got the fill."""

    section: str
    ability: str
    model_name: str
    stage: str
    rows: int
    filled: int
    text_file: str
    sha256: str


@dataclass(frozen=True)
class Lines:
    """A section's reports, one line each, and how many of them are the fill."""

    texts: list[str]
    filled: int


def write_submission(
    context: Context,
    part: str,
    folder: Path,
    fill: str | None,
    on_event: Callable[[Event], None],
) -> dict[str, Any]:
    """Answer every asked row of the part by the recipe's abilities; returns the receipt.

    Args:
        folder: an empty or new one.
        fill: the text of rows that have no answer; None makes such a row an error.

    Raises:
        InputError: no such part, no model, a row without answer, or a folder that is not empty or
            cannot be written.
    """
    _require_place(folder)
    if fill is not None and (not fill.strip() or one_line(fill) != fill.strip()):
        raise InputError("--fill without text, or of several lines", "one line", "correct it")
    abilities = _abilities(context)
    asked = asked_rows(_raw_root(context), part)
    texts = {
        section: _texts(context.doing(name), asked[section], fill, on_event)
        for section, name in abilities.items()
        if asked[section]
    }
    if not texts:
        raise InputError(
            f"no row of {part} that wants {' or '.join(abilities)}", "one at least",
            "choose another part",
        )  # fmt: skip
    make_folder(folder)
    with explained_place(str(folder)):
        files = [
            _write(context.doing(abilities[section]), part, section, asked[section], found, folder)
            for section, found in texts.items()
        ]
        receipt = _receipt(context, part, files)
        (folder / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n")
    return receipt


def _abilities(context: Context) -> dict[str, str]:
    """By section the ability that writes it, from all films of a study at once."""
    settings = context.settings
    if SOURCE not in context.source_names:
        raise InputError(
            f"recipe '{settings.recipe}' without source {SOURCE}",
            f"a recipe and a run with {SOURCE}",
            f"give --recipe gla_rrg24 and --source {SOURCE}=PATH",
        )
    found: dict[str, str] = {}
    for name, ability in settings.abilities.items():
        examples = settings.sets[ability.examples]
        if examples.images == "study" and examples.task in SECTIONS:
            found.setdefault(examples.task, name)
    if not found:
        raise InputError(
            f"recipe '{settings.recipe}' without an ability that reads whole studies",
            'a set of examples with images = "study"',
            "give --recipe gla_rrg24",
        )
    return found


def _raw_root(context: Context) -> Path:
    """Where the shards lie: a replica must have been written."""
    if SOURCE in context.roots:
        return context.raw_root(SOURCE)
    require_made(context, f"replicas/{SOURCE}", "ingest")
    return context.raw_root(SOURCE)


def _texts(
    context: Context,
    studies: Sequence[str],
    fill: str | None,
    on_event: Callable[[Event], None],
) -> Lines:
    """One line of text for each study, in their order.

    Raises:
        InputError: a study without an answer, and no fill.
    """
    answers = answer(context, SOURCE, studies, on_event)
    lines = [one_line(answers.get(study, "")).strip() or None for study in studies]
    bare = [study for study, line in zip(studies, lines, strict=True) if line is None]
    if bare and fill is None:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise InputError(
            f"no {context.examples.task} for row {bare[0]}{more}: no film of it is stored, or the "
            "model wrote nothing",
            f"one for each of {len(studies)} rows",
            "give --fill TEXT for such rows, or look at the rejected images",
        )
    return Lines([line or fill or "" for line in lines], len(bare))


def _write(
    context: Context,
    part: str,
    section: str,
    studies: Sequence[str],
    lines: Lines,
    folder: Path,
) -> Answered:
    """Both files of a section; what lies on the disk is read again and counted."""
    file = folder / f"{part}-{section}.txt"
    file.write_text("".join(f"{line}\n" for line in lines.texts), encoding="utf-8")
    rows = [
        {"question_id": study, "text": line}
        for study, line in zip(studies, lines.texts, strict=True)
    ]
    named = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.with_suffix(".jsonl").write_text(named, encoding="utf-8")
    check_lines(file, len(studies))
    return Answered(
        section=section,
        ability=context.ability,
        model_name=context.asked.model_name,
        stage=context.graph[f"stages/{context.asked.stage}"].fingerprint,
        rows=len(studies),
        filled=lines.filled,
        text_file=file.name,
        sha256=sha256(file.read_bytes()).hexdigest(),
    )


def check_lines(file: Path, rows: int) -> None:
    """A leaderboard counts line feeds: as many as rows, and no line without text.

    Raises:
        InputError: the file has other lines than rows.
    """
    lines = file.read_bytes().decode("utf-8").split("\n")
    if lines[-1] or len(lines) - 1 != rows:
        raise InputError(f"{len(lines) - 1} lines in {file}", f"{rows}", "write it again")
    empty = [number for number, line in enumerate(lines[:-1], 1) if not line.strip()]
    if empty:
        raise InputError(f"line {empty[0]} of {file} without text", "a report", "give --fill TEXT")


def _receipt(context: Context, part: str, files: Sequence[Answered]) -> dict[str, Any]:
    order = context.order
    return {
        "format": 1,
        "part": part,
        "recipe": context.settings.recipe,
        "scale": context.settings.scale,
        "overrides": list(order.overrides),
        "replica": SOURCE not in context.roots,
        "git_commit": git_commit(),
        "files": [asdict(each) for each in files],
    }


def _require_place(folder: Path) -> None:
    """It is empty or new and can be written: answers may take hours, and are written last."""
    with explained_place(str(folder), (*ON_USE, *AT_FIRST)):
        is_new = not folder.exists()
        if not is_new and (not folder.is_dir() or any(folder.iterdir())):
            expected = "an empty or new folder", "name another"
            raise InputError(f"{folder}, which is not empty", *expected)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
        if is_new:
            folder.rmdir()
