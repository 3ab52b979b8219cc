"""A language model's answers about a subject go, whatever artifacts are left to tell of them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli_world import Say
from hospital_world import Shot, ingested, write_hospital

from infra.llm.cache import CACHE_FILE, AnswerCache
from infra.llm.compaction import compact
from infra.llm.owners import OWNERS_FILE

HEART, LUNGS, BONES = (
    "The heart is of normal size.",
    "The lungs are clear on both sides.",
    "No fracture of any rib is seen.",
)
SHOTS = [  # nobody has a sentence of their own, and no two ask the same
    Shot("anna-1", "study-anna", "a.png", f"FINDINGS: {HEART} {LUNGS}", 1),
    Shot("bert-1", "study-bert", "b.png", f"FINDINGS: {LUNGS} {BONES}", 2),
    Shot("cleo-1", "study-cleo", "c.png", f"FINDINGS: {BONES} {HEART}", 3),
]
ASKED = ("images.short_side_px=112", 'sources.routes={manifest=["structure"]}')
MORE = (*ASKED, "reports.max_output_tokens=901")
OURS = ("--source", "manifest", "--data-root")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes have asked about each study; a part of the answers lies in Parquet."""
    folder = tmp_path_factory.mktemp("asked")
    raw = write_hospital(folder / "raw", SHOTS)
    context = ingested(folder / "data", raw, "manifest", *MORE)
    with closing(AnswerCache(context.store.state)) as cache:
        compact(cache)
    ingested(folder / "data", raw, "manifest", *ASKED)
    return folder / "data"


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "data")


def answers(data: Path) -> dict[str, int]:
    """How many stored answers hold both sentences of each subject, by subject."""
    state = data / ".state"
    with closing(sqlite3.connect(state / CACHE_FILE)) as run:
        said = [content for (content,) in run.execute("SELECT content FROM answers")]
    for path in state.glob("llm-answers/*.parquet"):
        said += pq.read_table(path)["content"].to_pylist()
    pairs = {"anna-1": (HEART, LUNGS), "bert-1": (LUNGS, BONES), "cleo-1": (BONES, HEART)}
    return {
        name: sum(all(part in content for part in parts) for content in said)
        for name, parts in pairs.items()
    }


def without_reports(data: Path) -> None:
    """As ``cxr gc`` leaves it once a setting has changed."""
    shutil.rmtree(data / "reports")


def test_answers_go_without_the_artifact_that_asked(data: Path, cxr: Say) -> None:
    assert answers(data) == {"anna-1": 2, "bert-1": 2, "cleo-1": 2}
    without_reports(data)
    said = cxr("forget", "anna-1", *OURS, data)
    assert (said.code, said.err) == (0, "")
    assert answers(data) == {"anna-1": 0, "bert-1": 2, "cleo-1": 2}


def test_answers_go_without_any_artifact_at_all(data: Path, cxr: Say) -> None:
    for kind in ("studies", "images", "reports"):
        shutil.rmtree(data / kind)
    said = cxr("forget", "bert-1", *OURS, data)
    assert (said.code, said.err) == (0, "")
    assert answers(data) == {"anna-1": 2, "bert-1": 0, "cleo-1": 2}
    assert cxr("forget", "dora-1", *OURS, data).code == 2, "nobody is known by that id"


def test_answers_of_an_older_cache_are_found_by_the_artifacts_that_are_left(
    data: Path, cxr: Say
) -> None:
    (data / ".state" / OWNERS_FILE).unlink()
    said = cxr("forget", "anna-1", *OURS, data)
    assert (said.code, said.err) == (0, "")
    assert answers(data) == {"anna-1": 0, "bert-1": 2, "cleo-1": 2}


def test_answers_of_an_older_cache_that_nobody_owns_are_never_passed_over_in_silence(
    data: Path, cxr: Say
) -> None:
    (data / ".state" / OWNERS_FILE).unlink()
    without_reports(data)
    said = cxr("forget", "anna-1", *OURS, data)
    assert said.code == 3
    assert said.err.startswith("error: not searched: 6 stored answers that tell not whose they are")
    assert said.err.count("\n") == 1
    assert answers(data)["anna-1"] == 2
    said = cxr("forget", "anna-1", *OURS, data, "--old-answers")
    assert (said.code, said.err) == (0, "")
    assert answers(data) == {"anna-1": 0, "bert-1": 0, "cleo-1": 0}
    assert not list((data / ".state").glob("forget/*"))


def test_a_replay_tells_whose_an_older_answer_is(data: Path, cxr: Say) -> None:
    (data / ".state" / OWNERS_FILE).unlink()
    without_reports(data)
    raw = write_hospital(data.parent / "raw", SHOTS)
    for settings in (MORE, ASKED):
        ingested(data, raw, "manifest", *settings)
    without_reports(data)
    assert cxr("forget", "cleo-1", *OURS, data).code == 0
    assert answers(data) == {"anna-1": 2, "bert-1": 2, "cleo-1": 0}
