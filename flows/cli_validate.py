"""The commands that measure the measures: metrics against raters, judges against planted errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from infra.settings.environment import load_environment

if TYPE_CHECKING:
    from tasks.validate.work import Asked


def validate_metrics(
    asked: Asked, folder: Path | None, data_root: str | None, *, as_json: bool
) -> None:
    """Print the tables, and write them to a folder if one is named."""
    from evaluation.validation.page import as_markdown
    from tasks.validate.work import validate_metrics as measure
    from tasks.validate.work import write_validation

    found, judged = measure(asked, load_environment(data_root=data_root))
    if folder is not None:
        write_validation(folder, found, judged)
    print(json.dumps(found.to_dict(), indent=1) if as_json else as_markdown(found), end="\n")


def find_planted_errors(
    judges: tuple[str, ...],
    per_cell: int,
    seed: int,
    folder: Path | None,
    data_root: str | None,
    *,
    as_json: bool,
) -> None:
    """Print what the judges find, and write it to a folder if one is named."""
    from tasks.validate.recovery import recovery_markdown
    from tasks.validate.work import find_planted, write_recovery

    found = find_planted(judges, per_cell, seed, load_environment(data_root=data_root))
    if folder is not None:
        write_recovery(folder, found)
    print(json.dumps(found.to_dict(), indent=1) if as_json else recovery_markdown(found))
