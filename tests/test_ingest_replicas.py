"""Replicas as artifacts: the publisher's tree, equal bytes each time, read like real data."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from raw_world import payload

from infra.errors import ArtifactError, InputError
from infra.pieces import Count
from sources.replicas import mimic_cxr
from tasks.context import Context, Order, open_context
from tasks.ingest.replicas import PIECE, build_replica
from tasks.ingest.studies import ingest_studies

SIZES = (
    'sources.routes={chexpert=["synthesize"]}',
    "sources.pieces=2",
    "replicas.studies.chexpert=12",
    "replicas.side_px=96",
)


def on_replicas(data: Path, *overrides: str) -> Context:
    return open_context(Order(data_root=str(data), replicas=True, overrides=(*SIZES, *overrides)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replica") / "data"
    build_replica(on_replicas(folder), "chexpert")
    return folder


def test_the_tree_is_the_piece(data: Path) -> None:
    context = on_replicas(data)
    artifact = build_replica(context, "chexpert")
    assert artifact.cached
    root = context.raw_root("chexpert")
    assert root == artifact.local_folder(PIECE)
    assert (root / "CheXpert-v1.0-small" / "train.csv").is_file()
    files = len(payload(root))
    assert artifact.counts == (Count("files", files, files),)


def test_another_place_gives_the_same_bytes_and_times(data: Path, tmp_path: Path) -> None:
    context, other = on_replicas(data), on_replicas(tmp_path / "data")
    build_replica(other, "chexpert")
    ours, theirs = context.raw_root("chexpert"), other.raw_root("chexpert")
    assert payload(ours) == payload(theirs)
    times = {path.stat().st_mtime for path in theirs.rglob("*") if path.is_file()}
    assert len(times) == 1


def test_a_rebuilt_replica_changes_nothing_after_it(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    context = on_replicas(tmp_path / "data")
    ingest_studies(context, "chexpert")
    next(context.raw_root("chexpert").glob("*/train/*/*/*.jpg")).unlink()
    rebuilt = build_replica(context, "chexpert")
    assert (rebuilt.built, rebuilt.reason) == (("tree",), "damaged: tree")
    assert ingest_studies(context, "chexpert").cached


def test_size_and_seed_make_another_artifact(data: Path) -> None:
    folders = {
        on_replicas(data, *more).graph["replicas/chexpert"].folder
        for more in ((), ("replicas.seed=1",), ("replicas.studies.chexpert=13",))
    }
    assert len(folders) == 3


def test_real_data_takes_the_replicas_place(data: Path) -> None:
    tree = on_replicas(data).raw_root("chexpert")
    order = Order(
        data_root=str(data), replicas=True, sources=(f"chexpert={tree}",), overrides=SIZES
    )
    context = open_context(order)
    assert "replicas/chexpert" not in context.graph.steps
    assert context.raw_root("chexpert") == tree


def test_a_replica_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="run the step that makes replicas/chexpert first"):
        on_replicas(tmp_path / "data").raw_root("chexpert")


def test_open_data_has_no_replica(tmp_path: Path) -> None:
    order = Order(
        data_root=str(tmp_path),
        replicas=True,
        overrides=('sources.routes={openi=["keep"]}',),
    )
    with pytest.raises(InputError) as caught:
        open_context(order)
    assert str(caught.value) == (
        "found no replica for source 'openi'; expected raw data; give --source openi=PATH"
    )


def test_open_data_is_left_out_beside_what_has_a_replica(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    routes = 'sources.routes={mimic_cxr=["keep"],openi=["keep"],vqa_rad=["keep"]}'
    order = Order(data_root=str(tmp_path), replicas=True, overrides=(routes,))
    assert open_context(order).source_names == ("mimic_cxr",)
    told = [row.getMessage() for row in caplog.records]
    for name in ("openi", "vqa_rad"):
        note = f"source {name} is left out: it has no replica; give --source {name}=PATH to read it"
        assert note in told


KINDS = ("duplicate", "rotated", "stranger")
PLANTED = (
    'sources.routes={rrg24=["keep"]}',
    "replicas.studies.rrg24=40",
    "replicas.side_px=64",
)


def test_superfluous_films_are_planted_where_asked_and_counted(tmp_path: Path) -> None:
    def look(*more: str) -> Context:
        overrides = (*PLANTED, *more)
        asked = Order(data_root=str(tmp_path), recipe="gla_rrg24", replicas=True)
        return open_context(asked.model_copy(update={"overrides": overrides}))

    plain, asked = look(), look("replicas.superfluous=0.8")
    assert "superfluous" not in plain.graph["replicas/rrg24"].settings
    assert asked.graph["replicas/rrg24"].settings["superfluous"] == 0.8
    counts = {count.unit: count.kept for count in build_replica(asked, "rrg24").counts}
    assert set(counts) == {"files", *(f"{kind} films planted" for kind in KINDS)}
    assert min(counts.values()) > 0
    truth = (asked.raw_root("rrg24") / ".truth.jsonl").read_text()
    planted = [json.loads(line).get("superfluous", {}) for line in truth.splitlines()]
    known = Counter(kind for films in planted for kind in films.values())
    assert {kind: counts[f"{kind} films planted"] for kind in KINDS} == known
    assert [count.unit for count in build_replica(plain, "rrg24").counts] == ["files"]


def on_questions(data: Path, *, studies: int = 20) -> Context:
    sizes = (
        f"replicas.studies={{mimic_cxr=20,medical_diff_vqa={studies},mimic_cxr_vqa=8}}",
        "replicas.side_px=96",
    )
    order = Order(recipe="medxchat", data_root=str(data), replicas=True, overrides=sizes)
    return open_context(order)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many films each replica of MIMIC-CXR's tree drew."""
    found: list[int] = []
    draw_many = mimic_cxr.draw_many

    def watched(draw_one: Any, items: Any, processes: int) -> Any:
        found.append(len(items))
        return draw_many(draw_one, items, 1)

    monkeypatch.setattr(mimic_cxr, "draw_many", watched)
    return found


def test_films_that_its_owner_drew_are_copied(tmp_path: Path, drawn: list[int]) -> None:
    alone, beside = on_questions(tmp_path / "alone"), on_questions(tmp_path / "beside")
    build_replica(alone, "medical_diff_vqa")
    build_replica(beside, "mimic_cxr")
    copied = build_replica(beside, "medical_diff_vqa")
    assert drawn[0] == drawn[1]
    assert 0 < drawn[2] < 0.7 * drawn[1]
    mine, theirs = (context.raw_root("medical_diff_vqa") for context in (alone, beside))
    assert payload(mine) == payload(theirs)
    assert copied.pieces == alone.artifact("replicas/medical_diff_vqa").pieces


def test_films_of_a_damaged_tree_or_of_another_size_are_drawn(
    tmp_path: Path, drawn: list[int]
) -> None:
    context = on_questions(tmp_path)
    build_replica(context, "mimic_cxr")
    time.sleep(0.05)  # longer than a tick of the system's clock
    film = next(iter(sorted(context.raw_root("mimic_cxr").rglob("*.jpg"))))
    film.write_bytes(film.read_bytes()[:-1] + b"!")
    build_replica(context, "medical_diff_vqa")
    assert drawn[1] == drawn[0]
    build_replica(on_questions(tmp_path, studies=19), "medical_diff_vqa")
    assert drawn[2] > 0.8 * drawn[0]
