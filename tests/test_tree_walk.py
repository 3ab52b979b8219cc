"""Large trees are walked by helpers: the same digest, nothing lost, and a dead helper is told."""

from __future__ import annotations

import os
import random
from pathlib import Path

import psutil
import pytest

from infra import tree_walk
from infra.errors import WorkerLost
from infra.fingerprint import stat_digest, tree_digest
from infra.tree_walk import AHEAD, BATCH, WIDE, lines_under

PERSONS = 2 * BATCH + 5


def write_tree(root: Path) -> list[str]:
    """Persons by decade as MIMIC-CXR has them, files beside folders, links and odd names."""
    rng, names = random.Random(7), []
    for person in range(PERSONS):
        for study in range(rng.randint(0, 3)):
            names.append(f"files/p1/p{person}/s{study}/film ä\n.jpg")
            names.append(f"files/p1/p{person}/s{study}.txt")
        names.append(f"files/p1/p{person}.index")  # sorts before the folder's own files
    names += ["files/p1/p10-late", "table.csv", os.fsdecode(b"files/p1/p3/\xff\xfe.jpg")]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x" * (number % 7))
    (root / "files/p1/p5").mkdir(exist_ok=True)
    (root / "files/p1/p5/.hidden").write_text("")
    (root / "files/p1/again").symlink_to(root / "files", target_is_directory=True)
    (root / "files/p1/p7").mkdir(exist_ok=True)
    (root / "files/p1/p7/gone.jpg").symlink_to("nowhere")
    return [*names, "files/p1/p7/gone.jpg"]


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Helpers from the first name on, two on any machine; holds their process numbers."""
    monkeypatch.setattr(tree_walk, "ALONE", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    started: list[int] = []
    start = tree_walk._Helpers._start

    def noted(helpers: tree_walk._Helpers) -> object:
        child = start(helpers)
        started.append(child.pid)
        return child

    monkeypatch.setattr(tree_walk._Helpers, "_start", noted)
    return started


def test_helpers_tell_what_one_process_tells(tmp_path: Path, helped: list[int]) -> None:
    names = write_tree(tmp_path)
    expected = stat_digest(tmp_path, names)
    assert tree_digest(tmp_path) == expected
    assert len(helped) == 2
    assert not any(map(psutil.pid_exists, helped))
    film = tmp_path / names[0]
    os.utime(film, (1, 1))
    assert tree_digest(tmp_path) == stat_digest(tmp_path, names) != expected


def test_a_small_or_narrow_tree_is_walked_alone(
    tmp_path: Path, helped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(WIDE - 1):
        (tmp_path / f"p{number}").mkdir()
    tree_digest(tmp_path)
    (tmp_path / "one-more").mkdir()
    monkeypatch.setattr(tree_walk, "ALONE", WIDE)
    tree_digest(tmp_path)
    assert not helped
    monkeypatch.setattr(tree_walk, "ALONE", WIDE - 1)
    tree_digest(tmp_path)
    assert len(helped) == 2


def test_a_helper_that_dies_ends_the_walk(tmp_path: Path, helped: list[int]) -> None:
    for person in range(BATCH * (AHEAD + 4) * 2):
        (tmp_path / f"p{person}").mkdir()
        (tmp_path / f"p{person}" / "film.jpg").write_text("")
    walk = lines_under(tmp_path)
    next(walk)
    for number in helped:
        psutil.Process(number).kill()
    with pytest.raises(WorkerLost, match="the walk over raw files"):
        list(walk)
    assert not any(map(psutil.pid_exists, helped))


def test_leaving_a_walk_ends_its_helpers(tmp_path: Path, helped: list[int]) -> None:
    write_tree(tmp_path)
    walk = lines_under(tmp_path)
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(helped) == 2
    assert not any(map(psutil.pid_exists, helped))
