"""Shards: what an example holds, how files are cut, and equal bytes for equal inputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples_world import SETTINGS, World, small_world

from infra.errors import ArtifactError
from infra.fingerprint import file_digest
from infra.settings.sections import ExampleSettings
from sources.example import EXAMPLE_SCHEMA, Example, Task, example_from_row
from sources.record import REJECTED_SCHEMA, Origin, Split, Turn, View
from tasks.examples.packing import example_id, pack_piece, target_text
from tasks.examples.plan import ExamplePlan, InputFile, plan_examples


def pack(plan: ExamplePlan, root: Path) -> dict[str, str]:
    """Pack all pieces; digest of every file by its relative path."""
    for key in plan.keys:
        (root / key).mkdir(parents=True)
        pack_piece(plan, key, root / key)
    return {
        str(path.relative_to(root)): file_digest(path) for path in sorted(root.rglob("*.parquet"))
    }


def examples_in(root: Path, split: str = "*") -> list[Example]:
    return [
        example_from_row(row)
        for path in sorted(root.rglob(f"{split}-[0-9]*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The small world, packed in three pieces per source."""
    plan = plan_examples(small_world().write(tmp_path / "in"), SETTINGS, pieces=3)
    pack(plan, tmp_path / "out")
    return tmp_path / "out"


def test_an_example_holds_image_request_target_and_provenance(packed: Path) -> None:
    [example] = [e for e in examples_in(packed) if e.example_id == "mimic_cxr/m3/m3a/keep"]
    stored = next(row for row in small_world().images if row["image_id"] == "m3a")
    assert example.images[0].pixels == stored["pixels"]
    assert (example.images[0].width, example.images[0].height) == (40, 30)
    assert example == Example(
        example_id="mimic_cxr/m3/m3a/keep",
        task=Task.FINDINGS,
        source="mimic_cxr",
        study_id="m3",
        subject_id="p3",
        split=Split.TRAIN,
        text_version="keep",
        origin=Origin.RADIOLOGIST,
        images=example.images,
        indication="Cough",
        turns=(Turn("user", "Report the findings of this chest X-ray. Indication: Cough"),),
        target="Heart of size 3.",
        subject_age=43.0,
        site="A",
    )
    assert example.images[0].view is View.PA


def test_every_example_shows_the_pixels_of_its_image(packed: Path) -> None:
    pixels = {row["image_id"]: row["pixels"] for row in small_world().images}
    examples = examples_in(packed)
    assert len(examples) == 20
    for example in examples:
        assert [image.pixels for image in example.images] == [pixels[example.images[0].image_id]]


def test_training_has_both_text_versions_of_an_image(packed: Path) -> None:
    texts = {e.text_version: e.target for e in examples_in(packed, "train") if e.study_id == "m0"}
    assert texts == {"keep": "Heart of size 0.", "structure": "Heart size 0."}


def test_a_test_reference_keeps_its_line_breaks(packed: Path) -> None:
    targets = {e.study_id: e.target for e in examples_in(packed, "test")}
    assert targets == {"m8": "Heart of\n size 8.", "m9": "Heart of\n size 9."}


@pytest.mark.parametrize(
    ("split", "target"), [("train", "a b c"), ("validate", "a b c"), ("test", "a\n b  c")]
)
def test_line_breaks_are_collapsed_but_in_references(split: str, target: str) -> None:
    assert target_text(" a\n b  c\n", split) == target


def test_the_indication_stands_in_the_request(packed: Path) -> None:
    for example in examples_in(packed):
        kept = example.text_version == "keep"
        assert example.indication == ("Cough" if kept else None)
        assert example.turns[0].text.endswith("Indication: Cough" if kept else "chest X-ray.")


def test_another_section_is_another_task(tmp_path: Path) -> None:
    recipe = SETTINGS.model_copy(update={"task": "impression"})
    plan = plan_examples(small_world().write(tmp_path / "in"), recipe, pieces=1)
    pack(plan, tmp_path / "out")
    [example] = examples_in(tmp_path / "out")
    assert example.task is Task.IMPRESSION
    assert example.target == "Normal."
    assert example.turns[0].text == "Report the impression of this chest X-ray."


def test_files_are_cut_by_split_and_shard(tmp_path: Path) -> None:
    recipe = SETTINGS.model_copy(update={"shard_rows": 5, "row_group_rows": 2})
    plan = plan_examples(small_world().write(tmp_path / "in"), recipe, pieces=1)
    (tmp_path / "out").mkdir()
    outcome = pack_piece(plan, "mimic_cxr-p0000", tmp_path / "out")
    files = {path.name: pq.read_metadata(path) for path in (tmp_path / "out").iterdir()}
    assert {name: data.num_rows for name, data in sorted(files.items())} == {
        "rejected.parquet": 22,
        "test-000.parquet": 2,
        "train-000.parquet": 5,
        "train-001.parquet": 5,
        "train-002.parquet": 2,
        "validate-000.parquet": 4,
    }
    assert files["train-000.parquet"].num_row_groups == 3
    assert outcome.facts == {"shards": {"train": 3, "validate": 1, "test": 1}}


def test_pixels_are_stored_as_they_are_and_text_compressed(packed: Path) -> None:
    path = next(packed.rglob("train-000.parquet"))
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    codecs = {column.path_in_schema: column.compression for column in columns}
    assert codecs["images.list.element.pixels"] == "UNCOMPRESSED"
    assert codecs["target"] == "ZSTD"


def test_schemas_are_exact(packed: Path) -> None:
    for path in packed.rglob("*.parquet"):
        wanted = REJECTED_SCHEMA if path.name == "rejected.parquet" else EXAMPLE_SCHEMA
        assert pq.read_schema(path).equals(wanted), path


def test_rejected_rows_say_which_and_why(packed: Path) -> None:
    rows = [
        row for path in packed.rglob("rejected.parquet") for row in pq.read_table(path).to_pylist()
    ]
    by_id = {row["row_id"]: row for row in rows}
    assert len(by_id) == len(rows) == 29
    assert by_id["chexpert/text-only/-/keep"] == {
        "source": "chexpert",
        "level": "example",
        "row_id": "chexpert/text-only/-/keep",
        "study_id": "text-only",
        "reason": "no-image",
        "detail": "no stored image; expected one or more",
    }
    assert by_id["chexpert/nothing/-/-"]["reason"] == "no-image"
    assert by_id["mimic_cxr/m9/m9a/structure"]["reason"] == "test-reference-not-by-rules"


def test_a_piece_reports_counts_that_add_up(tmp_path: Path) -> None:
    plan = plan_examples(small_world().write(tmp_path / "in"), SETTINGS, pieces=1)
    [count] = pack_piece(plan, "mimic_cxr-p0000", tmp_path).counts
    assert (count.unit, count.rows_in, count.kept) == ("rows", 40, 18)
    assert count.rejected == {"test-reference-not-by-rules": 4, "view-not-wanted": 18}


def test_inputs_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    pack_of = partial(plan_examples, settings=SETTINGS, pieces=2)
    straight = pack_of(small_world().write(tmp_path / "a"))
    shuffled = pack_of(small_world().write(tmp_path / "b", shuffle=9))
    recut = pack_of(small_world().write(tmp_path / "c", pieces=7))
    digests = pack(straight, tmp_path / "out-a")
    assert digests == pack(shuffled, tmp_path / "out-b")
    assert digests == pack(recut, tmp_path / "out-c")
    assert len(digests) > 4


def test_one_edited_report_changes_the_files_of_one_piece(tmp_path: Path) -> None:
    before = plan_examples(small_world().write(tmp_path / "a"), SETTINGS, pieces=3)
    world = small_world()
    next(row for row in world.reports if row["study_id"] == "m5")["findings"] = "Edited."
    after = plan_examples(world.write(tmp_path / "b"), SETTINGS, pieces=3)
    old, new = pack(before, tmp_path / "out-a"), pack(after, tmp_path / "out-b")
    changed = {Path(name).parent.name for name in new if old.get(name) != new[name]}
    digests = before.piece_digests(), after.piece_digests()
    assert changed == {key for key in digests[0] if digests[0][key] != digests[1][key]}
    assert len(changed) == 1


def test_texts_and_pixels_are_found_in_files_of_any_cut(tmp_path: Path) -> None:
    inputs = small_world().write(tmp_path / "in", pieces=1)
    plan = plan_examples(inputs, SETTINGS, pieces=5)
    pack(plan, tmp_path / "out")
    assert len(examples_in(tmp_path / "out")) == 20


def test_a_report_that_went_away_after_planning_is_an_error(tmp_path: Path) -> None:
    inputs = small_world().write(tmp_path / "in", pieces=1)
    plan = plan_examples(inputs, SETTINGS, pieces=1)
    for file in inputs.reports:
        pq.write_table(pq.read_table(file.path).slice(0, 0), file.path)
    with pytest.raises(ArtifactError) as error:
        pack_piece(plan, "mimic_cxr-p0000", tmp_path)
    assert str(error.value) == (
        "text or study of mimic_cxr/m0/m0a/keep is no longer where it was planned; run again"
    )


def test_images_that_moved_after_planning_are_an_error(tmp_path: Path) -> None:
    inputs = small_world().write(tmp_path / "in", pieces=1)
    plan = plan_examples(inputs, SETTINGS, pieces=1)
    for file in inputs.images:
        table = pq.read_table(file.path)
        pq.write_table(table.take(pa.array(range(table.num_rows))[::-1]), file.path)
    with pytest.raises(ArtifactError, match="images of study m0 and others are no longer where"):
        pack_piece(plan, "mimic_cxr-p0000", tmp_path)


def test_ids_say_where_an_example_comes_from() -> None:
    row = {"source": "openi", "study_id": "7", "image_id": None, "version": "keep"}
    assert example_id(row) == "openi/7/-/keep"
    assert InputFile(Path("a"), "0").path.name == "a"


def test_subject_facts_are_null_where_the_source_has_none(tmp_path: Path) -> None:
    world = World()
    world.study("openi", "1", None, "train")
    world.image("openi", "1", "i")
    world.report("openi", "1", findings="Clear.")
    recipe = ExampleSettings(test_sources=("openi",), validate_sources=("openi",))
    pack(plan_examples(world.write(tmp_path / "in"), recipe, pieces=1), tmp_path / "out")
    [example] = examples_in(tmp_path / "out")
    assert (example.subject_id, example.subject_age, example.site) == (None, None, None)


def test_ids_of_different_images_differ_whatever_they_hold() -> None:
    def named(study: str, image: str) -> str:
        row = {"source": "manifest", "study_id": study, "image_id": image, "version": "keep"}
        return example_id(row)

    assert named("a/b", "i.png") == "manifest/a%2Fb/i.png/keep"
    assert named("a", "b/i.png") == "manifest/a/b%2Fi.png/keep"
    assert named("a%2Fb", "i.png") == "manifest/a%252Fb/i.png/keep"
    assert named("é 1", "x\ny\u2028") == "manifest/é 1/x%0Ay%E2%80%A8/keep"
