"""The commands that stop runs, where there is no server to ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_world import Say


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_without_a_server_a_command_says_what_to_do(cxr: Say, verb: str) -> None:
    said = cxr(verb, "a-run")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"error: found 'cxr {verb}' without PREFECT_API_URL; expected ")


def test_a_run_that_nobody_runs_cannot_be_cancelled(cxr: Say, tmp_path: Path) -> None:
    said = cxr("cancel", "a-run", "--data-root", tmp_path)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "found no run 'a-run' at work in" in said.err


def test_a_wrong_goal_of_a_backfill_is_one_line(cxr: Say, tmp_path: Path) -> None:
    said = cxr("backfill", "--until", "train", "--data-root", tmp_path)
    assert (said.code, said.err) == (
        2,
        "error: found --until train; expected ingest or reports; correct it\n",
    )


def test_a_watcher_without_folders_is_one_line(cxr: Say, tmp_path: Path) -> None:
    said = cxr("watch-files", "--data-root", tmp_path)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "found no folder to watch" in said.err
    said = cxr("watch-files", "--log", "--json", "--data-root", tmp_path)
    assert (said.code, said.out) == (0, "[]\n")


def test_a_backup_of_no_stack_and_a_restore_of_no_backup(cxr: Say, tmp_path: Path) -> None:
    said = cxr("stack", "backup", tmp_path / "b", "--folder", tmp_path / "stack")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "found no stack at" in said.err
    (tmp_path / "b").mkdir()
    said = cxr("stack", "restore", tmp_path / "b", "--folder", tmp_path / "stack")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "found no backup.json in" in said.err
