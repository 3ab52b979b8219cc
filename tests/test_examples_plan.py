"""The join by ids: rows in = kept + rejected, ids checked, pieces addressed by their content."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from examples_world import SETTINGS, World, small_world

from infra.errors import ArtifactError
from infra.settings.sections import ExampleSettings
from tasks.examples.plan import ExampleInputs, ExamplePlan, plan_examples


def reasons(plan: ExamplePlan, source: str) -> dict[str | None, int]:
    rows = [row for row in plan.rows.to_pylist() if row["source"] == source]
    return dict(Counter(row["reason"] for row in rows))


def test_every_pair_of_image_and_text_is_kept_or_has_one_reason(tmp_path: Path) -> None:
    plan = plan_examples(small_world().write(tmp_path), SETTINGS, pieces=3)
    # 10 studies x 2 images x 2 versions; frontal: 6 train x 2 + 2 validate x 2 + 2 test x 1
    assert reasons(plan, "mimic_cxr") == {
        None: 18,
        "view-not-wanted": 18,
        "test-reference-not-by-rules": 4,
    }
    assert reasons(plan, "chexpert") == {
        None: 2,
        "no-split": 1,
        "held-out-of-other-source": 2,
        "no-image": 2,
        "no-report": 1,
        "section-missing": 1,
    }


def test_a_study_with_neither_image_nor_text_is_one_row(tmp_path: Path) -> None:
    plan = plan_examples(small_world().write(tmp_path), SETTINGS, pieces=3)
    rows = [row for row in plan.rows.to_pylist() if row["study_id"] == "nothing"]
    assert [(row["image_id"], row["version"], row["reason"]) for row in rows] == [
        (None, None, "no-image")
    ]


def test_rows_are_sorted_and_grouped_by_piece(tmp_path: Path) -> None:
    plan = plan_examples(small_world().write(tmp_path), SETTINGS, pieces=3)
    names = ("key", "source", "study_id", "image_id", "version")
    order = [tuple(row[name] or "" for name in names) for row in plan.rows.to_pylist()]
    assert order == sorted(order)
    assert plan.keys == tuple(
        f"{source}-p{number:04d}" for source in ("chexpert", "mimic_cxr") for number in range(3)
    )
    assert sum(plan.piece(key).num_rows for key in plan.keys) == plan.rows.num_rows
    assert {plan.piece(key)["key"][0].as_py() for key in plan.keys} == set(plan.keys)


def test_all_rows_of_a_study_lie_in_one_piece_whatever_else_is_there(tmp_path: Path) -> None:
    alone = World()
    alone.study("mimic_cxr", "m4", "p4", "train")
    alone.image("mimic_cxr", "m4", "m4a")
    alone.report("mimic_cxr", "m4", findings="Clear.")
    lonely = plan_examples(alone.write(tmp_path / "alone"), SETTINGS, pieces=3)
    crowded = plan_examples(small_world().write(tmp_path / "all"), SETTINGS, pieces=3)
    places = {row["key"] for row in crowded.rows.to_pylist() if row["study_id"] == "m4"}
    assert places == set(lonely.keys)


def test_the_order_of_the_inputs_does_not_count(tmp_path: Path) -> None:
    straight = plan_examples(small_world().write(tmp_path / "a"), SETTINGS, pieces=3)
    shuffled = plan_examples(small_world().write(tmp_path / "b", shuffle=5), SETTINGS, pieces=3)
    names = ["key", "source", "study_id", "image_id", "version", "reason", "detail", "row_digest"]
    assert straight.rows.select(names).equals(shuffled.rows.select(names))


@pytest.mark.parametrize("section", ["findings", "indication"])
def test_one_edited_report_changes_one_piece(tmp_path: Path, section: str) -> None:
    before = plan_examples(small_world().write(tmp_path / "a"), SETTINGS, pieces=3)
    world = small_world()
    edited = next(row for row in world.reports if row["study_id"] == "m3")
    edited[section] = "Edited."
    after = plan_examples(world.write(tmp_path / "b"), SETTINGS, pieces=3)
    old, new = before.piece_digests(), after.piece_digests()
    place = next(row["key"] for row in after.rows.to_pylist() if row["study_id"] == "m3")
    assert [key for key in old if old[key] != new[key]] == [place]


def test_text_that_is_not_packed_changes_nothing(tmp_path: Path) -> None:
    before = plan_examples(small_world().write(tmp_path / "a"), SETTINGS, pieces=3)
    world = small_world()
    world.reports[0] |= {"technique": "AP view.", "impression": "Other."}
    after = plan_examples(world.write(tmp_path / "b"), SETTINGS, pieces=3)
    assert before.piece_digests() == after.piece_digests()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("studies", "subject_age", 99.0),
        ("studies", "manufacturer", "Other"),
        ("studies", "subject_id", "p77"),
        ("images", "pixels", b"\xff\xd8other"),
        ("images", "width", 41),
    ],
)
def test_whatever_is_packed_counts(tmp_path: Path, table: str, column: str, value: object) -> None:
    before = plan_examples(small_world().write(tmp_path / "a"), SETTINGS, pieces=3)
    world = small_world()
    row = next(row for row in getattr(world, table) if row["study_id"] == "m3")
    row[column] = value
    after = plan_examples(world.write(tmp_path / "b"), SETTINGS, pieces=3)
    old, new = before.piece_digests(), after.piece_digests()
    place = next(row["key"] for row in after.rows.to_pylist() if row["study_id"] == "m3")
    assert [key for key in old if old[key] != new[key]] == [place]


def test_another_section_is_another_plan(tmp_path: Path) -> None:
    inputs = small_world().write(tmp_path)
    impressions = ExampleSettings(**SETTINGS.model_dump() | {"task": "impression"})
    plan = plan_examples(inputs, impressions, pieces=3)
    kept = [row["study_id"] for row in plan.rows.to_pylist() if row["reason"] is None]
    assert kept == ["blank"]


def test_without_images_or_reports_all_rows_are_rejected(tmp_path: Path) -> None:
    inputs = small_world().write(tmp_path)
    only_studies = ExampleInputs(inputs.studies, (), ())
    plan = plan_examples(only_studies, SETTINGS, pieces=3)
    assert reasons(plan, "mimic_cxr") == {"no-image": 10}
    only_images = ExampleInputs(inputs.studies, inputs.images, ())
    assert reasons(plan_examples(only_images, SETTINGS, pieces=3), "mimic_cxr") == {"no-report": 20}


def test_no_input_at_all_is_an_empty_plan() -> None:
    plan = plan_examples(ExampleInputs((), (), ()), SETTINGS, pieces=3)
    assert plan.keys == ()
    assert plan.piece_digests() == {}


def test_a_study_listed_twice_is_refused(tmp_path: Path) -> None:
    world = small_world()
    world.study("mimic_cxr", "m3", "p3", "train")
    with pytest.raises(ArtifactError) as error:
        plan_examples(world.write(tmp_path), SETTINGS, pieces=3)
    assert str(error.value) == (
        "mimic_cxr / m3 is listed twice among the study rows; rebuild the inputs with 'cxr ingest'"
    )


def test_a_text_version_listed_twice_is_refused(tmp_path: Path) -> None:
    world = small_world()
    world.report("mimic_cxr", "m3", findings="Again.")
    with pytest.raises(ArtifactError, match="m3 / keep is listed twice among the report rows"):
        plan_examples(world.write(tmp_path), SETTINGS, pieces=3)


def test_an_image_of_no_study_is_refused(tmp_path: Path) -> None:
    world = small_world()
    world.image("mimic_cxr", "ghost", "g1")
    with pytest.raises(ArtifactError) as error:
        plan_examples(world.write(tmp_path), SETTINGS, pieces=3)
    assert str(error.value) == (
        "mimic_cxr / ghost / g1 is among the image rows, but its study is not among the studies; "
        "rebuild the inputs with 'cxr ingest'"
    )


def test_equal_ids_of_two_sources_are_two_studies(tmp_path: Path) -> None:
    world = World()
    for source in ("mimic_cxr", "brax"):
        world.study(source, "s", "p", "train" if source == "brax" else "test")
        world.image(source, "s", "i")
        world.report(source, "s", findings="Clear.")
    plan = plan_examples(world.write(tmp_path), SETTINGS, pieces=3)
    assert plan.rows["reason"].to_pylist() == [None, None]
