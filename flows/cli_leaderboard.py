"""The command that puts recipes, their ablations and published figures side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tasks.leaderboard.work import leaderboard, open_roots, write_leaderboard


def show_leaderboard(
    roots: Sequence[str],
    measures: Sequence[str],
    folder: Path | None,
    *,
    every: bool,
    older: bool,
    as_json: bool,
) -> None:
    """Print the tables, or everything as JSON; write page and document to a folder if one is named.

    Args:
        measures: these alone, with their signatures; none are all.
        every: all with their signatures.
    """
    found = leaderboard(open_roots(roots), older=older)
    tables = found.of(measures)
    if folder is not None:
        write_leaderboard(found, folder)
    if as_json:
        print(json.dumps(found.to_dict(tables), indent=1))
        return
    from tasks.leaderboard.show import full_text, overview_text

    print(full_text(found, tables) if measures or every else overview_text(found))
