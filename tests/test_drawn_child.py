"""Drawing the films of a set in a child process, with a pipeline that was trained for a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from diffusion_world import SIDE_PX, drawing_world
from drawn_world import BASE, drawn_overrides
from models_world import write_shards

from infra.artifact import Artifact, build_artifact
from infra.errors import InputError
from infra.launch import Event
from infra.parent import ignore_event
from infra.pieces import BuiltPiece
from sources.record import Split
from tasks.context import Context, Order, open_context
from tasks.drawn.chosen import seed_of
from tasks.drawn.work import FILMS_FILE, draw_films, pack_drawn
from tasks.train.work import PIECE, example_files

pytestmark = pytest.mark.slow


def planned(root: Path, **drawn: object) -> Context:
    """The plan of a recipe that trains on drawn films."""
    overrides = drawn_overrides(**drawn)
    return open_context(Order(replicas=True, data_root=str(root), overrides=overrides))


def examples_and_guide(context: Context) -> None:
    """What drawing needs, in the place of what ingestion and training would have left."""

    def shards(key: str, folder: Path) -> BuiltPiece:
        assert key == "mimic_cxr-0000"
        for name, paths in write_shards(folder).items():
            for number, path in enumerate(paths):
                path.rename(folder / f"{name}-{number:03d}.parquet")
        return BuiltPiece()

    def guide(key: str, folder: Path) -> BuiltPiece:
        assert key == PIECE
        shutil.copytree(drawing_world() / "guide", folder, dirs_exist_ok=True)
        return BuiltPiece()

    for key, piece, build in (
        (f"examples/{BASE}", "mimic_cxr-0000", shards),
        ("stages/guide", PIECE, guide),
    ):
        build_artifact(context.store, context.graph[key], lambda piece=piece: {piece: ""}, build)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    made = planned(tmp_path_factory.mktemp("drawn") / "data")
    examples_and_guide(made)
    return made


@pytest.fixture(scope="module")
def films(context: Context) -> tuple[Artifact, list[Event]]:
    events: list[Event] = []
    return draw_films(context, "drawn", events.append), events


def test_a_film_is_drawn_for_each_chosen_example(
    context: Context, films: tuple[Artifact, list[Event]]
) -> None:
    artifact, events = films
    [count] = artifact.counts
    assert count.unit == "films"
    assert 0 < count.kept == count.rows_in < 40
    rows = pq.read_table(artifact.files(FILMS_FILE)[0]).to_pylist()
    assert {(row["width"], row["height"]) for row in rows} == {(SIDE_PX, SIDE_PX)}
    assert all(row["seed"] == seed_of(row["prompt_id"], 0) for row in rows)
    assert all("-train-" in row["prompt_id"] for row in rows)
    steps = [event["step"] for event in events if event["event"] == "progress"]
    assert steps[-1] == len(rows)
    assert not list(context.store.state.rglob("prompts.parquet"))


def test_they_become_training_shards_and_nothing_else(
    context: Context, films: tuple[Artifact, list[Event]]
) -> None:
    artifact = pack_drawn(context, "drawn")
    paths = example_files(context, Split.TRAIN, ("drawn",))
    rows = sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
    assert rows == films[0].counts[0].kept
    for split in (Split.VALIDATE, Split.TEST):
        assert example_files(context, split, ("drawn",)) == ()
    [count] = artifact.counts
    assert (count.rows_in, count.kept) == (60, rows)


def test_a_second_time_nothing_is_drawn(
    context: Context, films: tuple[Artifact, list[Event]]
) -> None:
    def refuse(event: Event) -> None:
        raise AssertionError(event)

    again = draw_films(context, "drawn", refuse)
    assert again.cached
    assert again.pieces == films[0].pieces
    assert pack_drawn(context, "drawn").cached


def test_a_share_without_any_subject_is_one_line(context: Context) -> None:
    empty = planned(Path(context.store.root), share=1e-9)
    with pytest.raises(InputError, match="no training example of set llava_rad to draw for set"):
        draw_films(empty, "drawn", ignore_event)
