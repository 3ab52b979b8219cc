"""Examples of conversations and of requests: which are kept, what they hold, what is learned."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dialogues_world import REQUESTS, TALKS, conversation, inputs_of, request, talking_world
from test_models_text import collator, language_tokenizer

from infra.errors import ArtifactError
from infra.fingerprint import file_digest
from infra.settings.sections import ExampleSettings
from models.data import ExampleShards
from models.shards import NO_VIEW
from sources.example import EXAMPLE_SCHEMA, Example, Task, example_from_row
from sources.record import REJECTED_SCHEMA, Origin, Split, View
from sources.xray_span import read_span
from tasks.examples.conversation_shards import pack_conversations
from tasks.examples.conversations import plan_conversations
from tasks.examples.plan import ExampleInputs, ExamplePlan


def reasons(plan: ExamplePlan) -> dict[str | None, int]:
    return dict(Counter(plan.rows["reason"].to_pylist()))


def pack(plan: ExamplePlan, root: Path) -> list[Example]:
    """Pack all pieces; the examples, with their counts checked."""
    for key in plan.keys:
        (root / key).mkdir(parents=True)
        built = pack_conversations(plan, key, root / key)
        (count,) = built.counts
        rows = plan.piece(key).to_pylist()
        assert count.unit == "dialogues"
        assert (count.rows_in, count.kept) == (
            len(rows),
            sum(row["reason"] is None for row in rows),
        )
        rejected = pq.read_table(root / key / "rejected.parquet")
        assert rejected.schema.equals(REJECTED_SCHEMA)
        assert rejected.num_rows == count.rows_in - count.kept
    return [
        example_from_row(row)
        for path in sorted(root.rglob("*-[0-9]*.parquet"))
        for row in _checked(path)
    ]


def _checked(path: Path) -> list[dict[str, object]]:
    table = pq.read_table(path)
    assert table.schema.equals(EXAMPLE_SCHEMA)
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


@pytest.fixture
def inputs(tmp_path: Path) -> ExampleInputs:
    return inputs_of(*talking_world(), tmp_path / "in")


def test_each_set_takes_the_dialogues_of_its_route(inputs: ExampleInputs) -> None:
    assert reasons(plan_conversations(inputs, TALKS, 3)) == {None: 8}
    assert reasons(plan_conversations(inputs, REQUESTS, 3)) == {None: 10}
    frontal = REQUESTS.model_copy(update={"views": ("PA", "AP")})
    assert reasons(plan_conversations(inputs, frontal, 3)) == {"view-not-wanted": 10}


def test_a_conversation_has_its_film_and_ends_with_the_user(
    inputs: ExampleInputs, tmp_path: Path
) -> None:
    examples = pack(plan_conversations(inputs, TALKS, 3), tmp_path / "out")
    example = next(each for each in examples if each.study_id == "m3")
    assert example.example_id == "mimic_cxr/m3/m3-converse/structure"
    assert (example.task, example.split, example.origin) == (
        Task.DIALOGUE,
        Split.TRAIN,
        Origin.SYNTHESIZED,
    )
    assert [image.image_id for image in example.images] == ["m3a"]
    assert [turn.role for turn in example.turns] == ["user", "assistant", "user"]
    assert example.target == "In the left upper lobe."
    assert (example.text_version, example.subject_id, example.site) == ("structure", "p3", "A")


def test_a_request_has_no_film_and_ends_in_its_span(inputs: ExampleInputs, tmp_path: Path) -> None:
    examples = pack(plan_conversations(inputs, REQUESTS, 3), tmp_path / "out")
    assert Counter(each.split for each in examples) == {"train": 6, "validate": 2, "test": 2}
    for example in examples:
        assert (example.task, example.images) == (Task.GENERATE, ())
        assert [turn.role for turn in example.turns] == ["user"]
        answer = read_span(example.target)
        assert answer.fault is None
        assert answer.prompt == (
            f"Lateral view of the chest was obtained. Nodule of {example.study_id}."
        )


def test_the_guard_holds_persons_and_pictures_apart(tmp_path: Path) -> None:
    world, dialogues = talking_world()
    world.studies[0]["subject_id"] = "p9"  # m0 in train, m9 in test
    twin = next(row for row in world.images if row["image_id"] == "m8l")
    for row in world.images:
        if row["image_id"] in ("m2l", "m3a"):
            row["perceptual_hash"] = twin["perceptual_hash"]
    inputs = inputs_of(world, dialogues, tmp_path)
    assert reasons(plan_conversations(inputs, TALKS, 3)) == {
        None: 6,
        "subject-in-two-splits": 1,
        "near-duplicate-of-held-out": 1,
    }
    lost = {
        row["study_id"]: row["reason"]
        for row in plan_conversations(inputs, REQUESTS, 3).rows.to_pylist()
        if row["reason"]
    }
    assert lost == {"m0": "subject-in-two-splits", "m2": "near-duplicate-of-held-out"}


def test_what_keeps_a_dialogue_out(tmp_path: Path) -> None:
    world, dialogues = talking_world()
    world.studies[1]["split"] = None
    dialogues = [each for each in dialogues if each.study_id in ("m1", "m2")]
    dialogues += [conversation("m4", "not-stored"), request("m4", "not-stored", View.AP)]
    dialogues += [conversation("m5", "m5l", View.LATERAL)]
    inputs = inputs_of(world, dialogues, tmp_path)
    assert reasons(plan_conversations(inputs, TALKS, 3)) == {
        None: 1,
        "film-not-stored": 1,
        "view-not-wanted": 1,
    }
    assert reasons(plan_conversations(inputs, REQUESTS, 3)) == {None: 2, "no-split": 1}
    elsewhere = REQUESTS.model_copy(update={"test_sources": ("openi",)})
    held = plan_conversations(inputs_of(*talking_world(), tmp_path / "b"), elsewhere, 3)
    assert reasons(held) == {None: 8, "held-out-of-other-source": 2}


def test_equal_inputs_give_equal_bytes_and_one_word_one_piece(
    inputs: ExampleInputs, tmp_path: Path
) -> None:
    plan = plan_conversations(inputs, TALKS, 3)
    pack(plan, tmp_path / "a")
    world, dialogues = talking_world()
    again = plan_conversations(inputs_of(world, dialogues, tmp_path / "again"), TALKS, 3)
    pack(again, tmp_path / "b")
    assert again.piece_digests() == plan.piece_digests()
    files = [
        {path.relative_to(tmp_path / name): file_digest(path) for path in sorted(
            (tmp_path / name).rglob("*.parquet"))}
        for name in ("a", "b")
    ]  # fmt: skip
    assert files[0] == files[1]
    turns = dialogues[0].dialogue.turns
    other = replace(dialogues[0].dialogue, turns=(*turns[:-1], replace(turns[-1], text="Left.")))
    dialogues[0] = replace(dialogues[0], dialogue=other)
    edited = plan_conversations(inputs_of(world, dialogues, tmp_path / "edited"), TALKS, 3)
    digests = edited.piece_digests()
    changed = [key for key, value in plan.piece_digests().items() if digests[key] != value]
    assert len(changed) == 1


def test_a_dialogue_that_moved_is_one_clear_error(inputs: ExampleInputs, tmp_path: Path) -> None:
    plan = plan_conversations(inputs, REQUESTS, 3)
    for file in inputs.dialogues:
        table = pq.read_table(file.path)
        pq.write_table(table.slice(0, 0), file.path)
    with pytest.raises(ArtifactError, match="is no longer where it was planned; run again"):
        pack_conversations(plan, plan.keys[0], tmp_path)


def test_without_dialogues_the_plan_is_empty(tmp_path: Path) -> None:
    world, _ = talking_world()
    plan = plan_conversations(replace(world.write(tmp_path), dialogues=()), TALKS, 3)
    assert (plan.rows.num_rows, plan.keys) == (0, ())


@pytest.mark.parametrize("settings", [TALKS, REQUESTS])
def test_a_stage_learns_all_answers_of_what_was_packed(
    settings: ExampleSettings, inputs: ExampleInputs, tmp_path: Path
) -> None:
    """The shards through the loader and the collator, as a stage with ``learn = answers`` does."""
    pack(plan_conversations(inputs, settings, 3), tmp_path / "out")
    data = ExampleShards(sorted((tmp_path / "out").rglob("train-*.parquet")), None)
    sample = next(each for each in data if each.study_id == "m2")
    tokenizer = language_tokenizer()
    learn = replace(collator(tokenizer), learn="answers", context_tokens=256)
    if settings is REQUESTS:
        assert sample.view == NO_VIEW
        batch = learn([sample])
        expected = f" {sample.target}</s>"
        assert "pixel_values" not in batch
    else:
        assert sample.view == "PA"
        batch = learn([replace(sample, view=NO_VIEW)])  # the world's films are no pictures
        expected = " Yes, there is a nodule.</s> In the left upper lobe.</s>"
    assert tokenizer.decode(batch["labels"].tolist()) == expected
