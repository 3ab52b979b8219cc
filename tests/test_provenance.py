"""The commit behind an artifact."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.fingerprint import HOUSE
from infra.provenance import git_commit

PRINT = "from infra.provenance import git_commit; print(git_commit())"


def git(*arguments: str, folder: Path) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *names, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with the two modules that the commit's code needs."""
    house = tmp_path / "house"
    for name in ("infra/__init__.py", "infra/fingerprint.py", "infra/provenance.py"):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_bytes((HOUSE / name).read_bytes())
    git("init", "-q", folder=house)
    git("add", ".", folder=house)
    git("commit", "-q", "-m", "first", folder=house)
    return house


def printed(checkout: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PRINT],
        capture_output=True,
        text=True,
        cwd=checkout.parent,
        env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", **variables},
        check=True,
    )
    return done.stdout.strip()


def test_it_is_the_checkouts_commit(checkout: Path) -> None:
    commit = git("rev-parse", "HEAD", folder=checkout)
    assert len(commit) == 40
    assert printed(checkout) == commit


def test_a_changed_tracked_file_makes_it_dirty(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("not tracked")
    commit = git("rev-parse", "HEAD", folder=checkout)
    assert printed(checkout) == commit
    (checkout / "infra" / "__init__.py").write_text("# edited\n")
    assert printed(checkout) == f"{commit}-dirty"


def test_a_tag_does_not_take_the_commits_place(checkout: Path) -> None:
    git("tag", "-a", "v1.0", "-m", "one", folder=checkout)
    assert printed(checkout) == git("rev-parse", "HEAD", folder=checkout)


def test_without_git_it_is_unknown(checkout: Path, tmp_path: Path) -> None:
    assert printed(checkout, PATH=str(tmp_path)) == "unknown"
    (checkout / ".git").rename(checkout / "no-git")
    assert printed(checkout) == "unknown"


def test_it_is_asked_once_a_process() -> None:
    assert git_commit() is git_commit()
