"""Grounding as a unit of work: replicas with known and with published boxes, counts, resumption."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from models_world import SIDE_PX, trained_world
from raw_world import look

from evaluation.grounding_match import asserted
from evaluation.sliced_readings import GAIN
from infra.artifact import Artifact, build_artifact
from infra.errors import InputError
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.store import Store
from sources.crop import share_seen
from sources.prediction import PREDICTION_SCHEMA
from sources.record import Split
from sources.replicas.mimic_cxr import known_boxes
from sources.replicas.truth import ReplicaSpec
from tasks.compare.queries import find_reading, slice_reading
from tasks.compare.show import slices_text
from tasks.context import Context, Order, open_context
from tasks.examples.work import write_examples
from tasks.ground import texts as ground_texts
from tasks.ground.outcome import grounding_text
from tasks.ground.truth import boxed_images, has_known_boxes, published_sizes, scored_split
from tasks.ground.work import PIECE, ground
from tasks.ingest.replicas import build_replica
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.predict.work import PREDICTIONS_FILE, PREDICTIONS_PIECE
from tasks.readings import reading_document
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports
from tasks.train.work import PIECE as MODEL_PIECE
from tasks.train.work import example_files

pytestmark = pytest.mark.slow

RECIPE = (
    'sources.routes={mimic_cxr=["keep"],vindr_cxr=["synthesize"],object_cxr=["synthesize"]}',
    "sources.pieces=2",
    "replicas.studies={mimic_cxr=60,vindr_cxr=30,object_cxr=30}",
    "replicas.side_px=96",
    "images.short_side_px=48",
    "images.smallest_side_px=48",
    f"models.vision.image_px={SIDE_PX}",
    "models.vision.patch_px=7",
    'ground.methods=["attention mean","attention layer","occlusion"]',
    "ground.cells=4",
    "ground.test_texts=5",
    "ground.validate_texts=3",
    "ground.bootstrap_resamples=20",
    "ground.overlays=3",
)


def context_of(data: Path, *overrides: str) -> Context:
    return open_context(Order(data_root=str(data), replicas=True, overrides=(*RECIPE, *overrides)))


@dataclass(frozen=True)
class World:
    data: Path
    artifact: Artifact

    @property
    def context(self) -> Context:
        return context_of(self.data)

    @property
    def document(self) -> dict[str, Any]:
        found = reading_document(self.context, "grounding")
        assert found is not None
        return found


def plant_model(context: Context) -> None:
    def build(key: str, folder: Path) -> BuiltPiece:
        shutil.copytree(trained_world() / "finetune", folder, dirs_exist_ok=True)
        return BuiltPiece()

    build_artifact(
        context.store, context.graph["stages/finetune"], lambda: {MODEL_PIECE: ""}, build
    )


def plant_predictions(context: Context) -> None:
    """The references themselves, as a perfect model would write them."""
    files = example_files(context, Split.TEST)
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    written = [
        {
            **{name: row[name] for name in ("example_id", "source", "study_id", "subject_id")},
            "split": row["split"],
            "view": row["images"][0]["view"],
            "control": "none",
            "image_study_id": row["study_id"],
            "prediction": row["target"],
            "reference": row["target"],
            "finish_reason": "stop",
            "tokens": 9,
        }
        for row in rows
    ]

    def build(key: str, folder: Path) -> BuiltPiece:
        table = pa.Table.from_pylist(written, schema=PREDICTION_SCHEMA)
        write_table(folder / PREDICTIONS_FILE, table)
        return BuiltPiece((Count("predictions", len(rows), len(rows)),))

    step = context.graph["predictions/llava_rad"]
    build_artifact(context.store, step, lambda: {PREDICTIONS_PIECE: ""}, build)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    data = tmp_path_factory.mktemp("ground") / "data"
    context = context_of(data)
    for name in context.source_names:
        build_replica(context, name)
        ingest_studies(context, name)
        ingest_images(context, name)
        with Teacher(context.environment) as teacher:
            write_reports(context, name, teacher)
    write_examples(context, "llava_rad")
    plant_model(context)
    plant_predictions(context)
    return World(data, ground(context, lambda event: None))


def test_every_kind_of_text_is_scored(world: World) -> None:
    document = world.document
    seen = {(row["text"], row["source"]) for row in document["scores"]}
    assert {
        ("reference", "mimic_cxr"),
        ("prediction", "mimic_cxr"),
        ("phrase", "vindr_cxr"),
        ("phrase", "object_cxr"),
    } <= seen
    assert document["unavailable"] == {}
    assert (
        document["sentences"]
        == pq.read_table(world.artifact.files("sentences.parquet")[0]).num_rows
    )


def test_sentences_in_are_sentences_grounded_and_not(world: World) -> None:
    """Counted anew from the examples themselves."""
    counts = {count.unit: count for count in world.artifact.counts}
    one = counts["sentences, reference of mimic_cxr"]
    rows = ground_texts._one_text_each(world.context, "mimic_cxr", Split.TEST)
    sentences = sum(len(ground_texts.sentence_spans(row["target"])) for row in rows)
    assert one.rows_in == sentences
    assert one.kept > 0
    assert one.rejected["asserts-nothing"] > 0
    telling = [row for row in rows if asserted(row["target"])]
    beyond = sum(len(ground_texts.sentence_spans(row["target"])) for row in telling[5:])
    assert one.rejected.get("beyond-limit", 0) == beyond
    outcomes = world.document["outcomes"]["reference of mimic_cxr"]
    assert outcomes == {"grounded": one.kept, **one.rejected}


def test_the_choice_was_made_on_validate_and_is_told(world: World) -> None:
    document = world.document
    ways = [one["method"] for one in document["candidates"]]
    assert {"attention mean", "attention layer 1 head 0", "occlusion"} <= set(ways)
    best = document["candidates"][0]
    chosen = document["choice"]
    assert (chosen["method"], chosen["sharpness"]) == (best["method"], best["sharpness"])
    assert chosen["gain"] == max(one["gain"] for one in document["candidates"])
    tried = ground_texts.validate_texts(world.context, SIDE_PX)
    tested = ground_texts.test_texts(world.context, SIDE_PX)
    assert {row["split"] for row in tried.rows} == {"validate"}
    assert not {row["study_id"] for row in tried.rows} & {row["study_id"] for row in tested.rows}


def test_a_second_run_is_cached_and_leaves_no_scratch(world: World) -> None:
    assert ground(world.context, lambda event: None).cached
    assert not list((world.context.store.state / "grounding").glob("*"))


def test_the_page_and_its_overlays_are_there(world: World) -> None:
    folder = world.artifact.local_folder(PIECE)
    shown = (folder / "grounding.html").read_text()
    assert shown.count("<article>") == 3
    assert "synthetic replica" in shown
    overlays = sorted(path.name for path in folder.glob("overlay-*.png"))
    assert overlays == world.artifact.pieces[0].facts["shareable"]
    assert len(overlays) == 3


def tracked(context: Context) -> dict[str, float]:
    """The numbers that go to the registry."""
    numbers: dict[str, float] = context.artifact("grounding/llava_rad").pieces[0].facts["tracked"]
    return numbers


def test_numbers_for_the_registry_are_finite_and_named(world: World) -> None:
    numbers = tracked(world.context)
    assert all(0.0 <= value <= 1.0 for value in numbers.values())
    assert "grounding/vindr_cxr/phrase/all/energy/uniform" in numbers


def test_the_terminal_tells_the_verdict(world: World) -> None:
    shown = grounding_text(world.document)
    assert shown.startswith(f"heat maps by {world.document['choice']['name']} (of ")
    assert "energy   of vindr_cxr phrase, all (" in shown
    nothing = {**world.document, "sentences": 0, "unavailable": {"grounding": "no boxes"}}
    assert grounding_text(nothing) == "NOT GROUNDED: no boxes"


def test_known_boxes_are_those_of_the_drawn_films(world: World) -> None:
    """Inside the published size, of findings that the truth file names, on the right side."""
    context = world.context
    assert has_known_boxes(context, "mimic_cxr")
    assert not has_known_boxes(context, "vindr_cxr")
    rows = ground_texts._one_text_each(context, "mimic_cxr", Split.TEST)
    wanted = {row["images"][0]["image_id"]: row["study_id"] for row in rows}
    boxes = known_boxes(ReplicaSpec(**context.graph["replicas/mimic_cxr"].settings), wanted)
    sizes = published_sizes(context, "mimic_cxr", wanted)
    lines = (context.raw_root("mimic_cxr") / ".truth.jsonl").read_text().splitlines()
    truth = {row["study_id"]: row for row in map(json.loads, lines)}
    assert boxes.keys() == sizes.keys() == wanted.keys()
    assert sum(map(len, boxes.values())) > 5
    for image_id, found in boxes.items():
        width, height = sizes[image_id]
        findings = truth[wanted[image_id]]["findings"]
        for box in found:
            assert findings[box.finding]["name"] == box.name
            assert 0 <= box.x_min < box.x_max <= width
            assert 0 <= box.y_min < box.y_max <= height


def test_published_boxes_come_with_their_pixels(world: World) -> None:
    images = boxed_images(world.context, "vindr_cxr")
    assert images
    assert {image.split for image in images} == {"test"}
    assert all(image.pixels for image in images)
    assert all(min(image.stored) == 48 and min(image.published) == 96 for image in images)
    objects = boxed_images(world.context, "object_cxr")
    assert scored_split({image.split for image in objects}) is Split.VALIDATE
    assert scored_split(set()) is None


def test_boxes_lie_where_the_phrase_was_placed(world: World) -> None:
    texts = ground_texts.test_texts(world.context, SIDE_PX)
    phrases = [one for one in texts.sentences if one.text == "phrase"]
    assert phrases
    for one in phrases:
        assert one.words == ground_texts.phrase_of(one.names[0])
        assert all(share_seen(box) == pytest.approx(1.0) for box in one.boxes if box.area)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Pleural effusion", "There is pleural effusion."),
        ("Nodule/Mass", "There is nodule or mass."),
        ("Pleural_Thickening", "There is pleural thickening."),
    ],
)
def test_phrases(name: str, words: str) -> None:
    assert ground_texts.phrase_of(name) == words


def test_real_raw_data_has_no_known_boxes(world: World, tmp_path: Path) -> None:
    """The same tree given as raw data: its truth is nobody's business, and there are no boxes."""
    raw = world.context.raw_root("mimic_cxr")
    overrides = ('sources.routes={mimic_cxr=["keep"]}', *RECIPE[2:])
    context = look(tmp_path / "data", {"mimic_cxr": raw}, *overrides)
    assert not has_known_boxes(context, "mimic_cxr")
    ingest_studies(context, "mimic_cxr")
    ingest_images(context, "mimic_cxr")
    with Teacher(context.environment) as teacher:
        write_reports(context, "mimic_cxr", teacher)
    write_examples(context, "llava_rad")
    plant_model(context)
    plant_predictions(context)
    artifact = ground(context, lambda event: None)
    document = reading_document(context, "grounding")
    assert document is not None
    assert document["sentences"] == 0
    assert "no sentence of a held-out text has a true box" in document["unavailable"]["grounding"]
    assert tracked(context) == {}
    assert "NOT GROUNDED" in grounding_text(document)
    assert "unavailable" in (artifact.local_folder(PIECE) / "grounding.html").read_text()


def test_grounding_is_sliced_by_the_facts_of_its_examples(world: World) -> None:
    reading = find_reading(world.context.store, "grounding", None)
    assert reading.folder == world.artifact.folder
    name = "reference, energy"
    found = slice_reading(reading, ("view", "source"), (name,), 20, 0)
    sliced = {item.dimension for item in found.scores} | set(found.unsliced)
    assert sliced == {"view", "source"}
    [whole] = (row for row in world.document["scores"] if _is_shown(world, row))
    views = [item for item in found.scores if item.dimension == "view"]
    assert sum(item.examples for item in views) == whole["signature"]["examples"]
    mean = sum((item.score.value or 0.0) * item.examples for item in views)
    assert mean / whole["signature"]["examples"] == pytest.approx(whole["value"])
    every = slice_reading(reading, (), (), 20, 0)
    assert {item.metric for item in every.scores} <= {
        f"{kind}, {metric}"
        for kind in ("reference", "prediction", "phrase")
        for metric in ("energy", GAIN)
    }
    assert "no worst slice: none has" in slices_text(reading.folder, every)


def _is_shown(world: World, row: dict[str, Any]) -> bool:
    chosen = world.document["choice"]["name"]
    place = {name: row[name] for name in ("method", "control", "metric", "text", "group")}
    return place == {
        "method": chosen,
        "control": "none",
        "metric": "energy",
        "text": "reference",
        "group": "all",
    }


def test_a_reading_that_is_not_there_is_one_line(world: World, tmp_path: Path) -> None:
    empty = Store(str(tmp_path), tmp_path / ".state")
    with pytest.raises(InputError, match="no retrieval under"):
        find_reading(empty, "retrieval", None)
    with pytest.raises(InputError, match="no grounding 'feedbeef' under"):
        find_reading(world.context.store, "grounding", "feedbeef")
    reading = find_reading(world.context.store, "grounding", world.artifact.folder)
    with pytest.raises(InputError, match="metric 'R@5'"):
        slice_reading(reading, (), ("R@5",), 20, 0)
