"""Generation: batches equal single prompts, ids in equal ids out, controls show other images."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import torch
from models_world import SIDE_PX, example, picture, trained_world
from transformers import AutoProcessor, LlavaForConditionalGeneration

from infra.errors import InputError
from infra.runs import GenerateRun
from infra.settings.sections import GenerateSettings
from models.canvas import Canvas
from models.data import ExampleShards
from models.generate import PREDICTION_SCHEMA, generate
from models.prompts import conversation_prompt
from models.writer import FindingsWriter
from sources.example import ExampleImage, examples_to_table
from sources.record import View

CONTROLS = ("none", "shuffled", "blank")


def run_for(output: Path, **changes: object) -> GenerateRun:
    root = trained_world()
    settings = {"batch_size": 5, "max_new_tokens": 12, **changes}
    return GenerateRun(
        model=root / "finetune",
        generate=GenerateSettings.model_validate(settings),
        examples=(root / "shards" / "test.parquet",),
        controls=CONTROLS,
        output=output,
        device="cpu",
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("predictions")
    assert generate(run_for(folder)) == 0
    table = pq.read_table(folder / "predictions.parquet")
    assert table.schema.equals(PREDICTION_SCHEMA)
    found: list[dict[str, object]] = table.to_pylist()
    return found


def writer(**settings: int) -> FindingsWriter:
    found = GenerateSettings.model_validate({"max_new_tokens": 12, **settings})
    return FindingsWriter.load(trained_world() / "finetune", found, "cpu")


def examples() -> ExampleShards:
    return ExampleShards([trained_world() / "shards" / "test.parquet"], Canvas(SIDE_PX))


def test_every_example_comes_out_once_per_control_in_order(rows: list[dict[str, object]]) -> None:
    expected = [f"mimic_cxr-test-{number}" for number in range(200, 212)]
    for control in CONTROLS:
        assert [row["example_id"] for row in rows if row["control"] == control] == expected
    assert len(rows) == 36


def test_rows_carry_reference_view_and_subject(rows: list[dict[str, object]]) -> None:
    row = rows[1]
    assert (row["source"], row["study_id"], row["subject_id"]) == ("mimic_cxr", "s201", "p201")
    assert (row["split"], row["view"]) == ("test", "PA")
    assert row["reference"] == "There is a nodule in the left lung. Case 5."


def test_controls_name_whose_image_was_shown(rows: list[dict[str, object]]) -> None:
    by = {name: [row for row in rows if row["control"] == name] for name in CONTROLS}
    assert all(row["image_study_id"] == row["study_id"] for row in by["none"])
    assert all(row["image_study_id"] != row["study_id"] for row in by["shuffled"])
    assert {row["image_study_id"] for row in by["shuffled"]} == {
        f"s{number}" for number in range(200, 212)
    }
    assert all(row["image_study_id"] is None for row in by["blank"])


def strips(path: Path, *films: tuple[bytes, ...]) -> Path:
    """Examples with these films each."""
    rows = [
        replace(
            example(number, "test"),
            images=tuple(
                ExampleImage(f"i{number}-{place}", View.PA, data, SIDE_PX, SIDE_PX)
                for place, data in enumerate(pictures)
            ),
        )
        for number, pictures in enumerate(films)
    ]
    pq.write_table(examples_to_table(rows), path)
    return path


def test_some_of_several_films_lie_black_in_controls_of_their_own(tmp_path: Path) -> None:
    """As if those films had been black in the shard; a study of one film has no part in it."""
    model = tmp_path / "model"
    shutil.copytree(trained_world() / "finetune", model)
    config = json.loads((model / "config.json").read_text())
    config["canvas"] = {"fit": "pad", "layout": "stitch", "gutter_px": 2}
    (model / "config.json").write_text(json.dumps(config))
    one, two, three = (picture(side, seed) for seed, side in enumerate(("left", "right", "left")))
    with io.BytesIO() as sink:
        PIL.Image.new("L", (SIDE_PX, SIDE_PX)).save(sink, "PNG")
        black = sink.getvalue()

    def written(name: str, controls: tuple[str, ...], *films: tuple[bytes, ...]) -> Any:
        shard = strips(tmp_path / f"{name}.parquet", *films)
        asked = {"model": model, "examples": (shard,), "controls": controls}
        run = run_for(tmp_path / name).model_copy(update=asked)
        assert generate(run) == 0
        told = json.loads((tmp_path / name / "result.json").read_text())
        rows = pq.read_table(tmp_path / name / "predictions.parquet").to_pylist()
        assert told["predictions"] == len(rows) and told["examples"] == len(films)
        keys = ("example_id", "image_study_id", "generated_ids")
        return {
            control: [tuple(map(str, map(row.get, keys))) for row in rows
                      if row["control"] == control]
            for control in controls
        }  # fmt: skip

    controls = ("none", "without-first", "first-alone")
    found = written("all", controls, (one, two), (three,), (two, one, three))
    assert [len(found[name]) for name in controls] == [3, 2, 2]
    first = written("first", ("none",), (black, two), (three,), (black, one, three))["none"]
    others = written("others", ("none",), (one, black), (three,), (two, black, black))["none"]
    assert found["without-first"] == [first[0], first[2]]
    assert found["first-alone"] == [others[0], others[2]]


def test_blank_images_give_equal_texts_to_equal_prompts(rows: list[dict[str, object]]) -> None:
    with_reason = {row["prediction"] for row in rows[24:] if int(str(row["study_id"])[1:]) % 3 == 0}
    assert len(with_reason) == 1


def test_tokens_and_finish_reasons_agree(rows: list[dict[str, object]]) -> None:
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    for row in rows:
        if row["finish_reason"] == "length":
            assert row["tokens"] == 12
        else:
            assert int(str(row["tokens"])) < 12


def test_counts_are_written_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(run_for(tmp_path)) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["examples"], result["predictions"]) == (12, 36)
    assert result["controls"] == ["none", "shuffled", "blank"]
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0] == {
        "event": "start",
        "examples": 12,
        "controls": ["none", "shuffled", "blank"],
        "predictions": 36,
    }
    assert [each["step"] for each in events if each["event"] == "progress"][-1] == 36


def test_left_padded_batch_writes_what_single_prompts_write() -> None:
    one, samples = writer(), list(examples())[:6]
    prompts = [one.prompt(sample) for sample in samples]
    assert len({len(prompt) for prompt in prompts}) > 1
    batch = one.write(prompts, [sample.pixels for sample in samples])
    for prompt, sample, written in zip(prompts, samples, batch, strict=True):
        assert one.write([prompt], [sample.pixels]) == [written]


def test_cache_gives_what_full_passes_give() -> None:
    one, sample = writer(max_new_tokens=6), examples()[0]
    assert sample.pixels is not None
    ids = one.prompt(sample)
    from models.collate import normalise

    for _ in range(6):
        with torch.no_grad():
            logits = one.model(
                input_ids=torch.tensor([ids]), pixel_values=normalise([sample.pixels])
            ).logits
        ids.append(int(logits[0, -1].argmax()))
        if ids[-1] == one.tokenizer.eos_token_id:
            break
    text = one.tokenizer.decode(ids[len(one.prompt(sample)) :], skip_special_tokens=True)
    assert one.write([one.prompt(sample)], [sample.pixels])[0].text == " ".join(text.split())


def test_batch_size_does_not_change_predictions(
    tmp_path: Path, rows: list[dict[str, object]]
) -> None:
    assert generate(run_for(tmp_path, batch_size=36)) == 0
    assert pq.read_table(tmp_path / "predictions.parquet").to_pylist() == rows


def test_hugging_faces_own_classes_write_the_same_text() -> None:
    folder, sample = trained_world() / "finetune", examples()[1]
    assert sample.pixels is not None
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor(
        images=PIL.Image.fromarray(sample.pixels[0]),
        text=conversation_prompt(sample.turns),
        return_tensors="pt",
    )
    ours = writer()
    assert inputs["input_ids"][0].tolist() == ours.prompt(sample)
    ids = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        pixel_values=inputs["pixel_values"],
        max_new_tokens=12,
        do_sample=False,
        pad_token_id=0,
    )
    text = processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    written = ours.write([ours.prompt(sample)], [sample.pixels])[0]
    assert " ".join(text.split()) == written.text


def test_no_model_writes_the_image_token_whatever_its_head_prefers() -> None:
    from models.collate import normalise

    one, sample = writer(max_new_tokens=3), examples()[1]
    assert sample.pixels is not None
    image, ids = one.model.config.image_token_id, torch.tensor([one.prompt(sample)])
    given = {"input_ids": ids, "pixel_values": normalise([sample.pixels])}
    with torch.no_grad():
        one.model.lm_head.weight[image] = 100 * one.model.model(**given).last_hidden_state[0, -1]
        assert int(one.model(**given).logits[0, -1].argmax()) == image
    written = one.model.generate(**given, attention_mask=torch.ones_like(ids), max_new_tokens=3)
    assert written.shape[1] > ids.shape[1]
    assert image not in written[0, ids.shape[1] :]
    request = one.request(one.prompt(sample), sample.pixels)
    (answers,) = [some for some in one.decoder().run([request]) if some]
    assert answers[0].ids
    assert image not in answers[0].ids


def test_image_changes_the_next_tokens_probabilities() -> None:
    one, sample = writer(), examples()[0]
    from models.collate import normalise

    assert sample.pixels is not None
    ids = torch.tensor([one.prompt(sample)])
    with torch.no_grad():
        seen = one.model(input_ids=ids, pixel_values=normalise([sample.pixels])).logits[0, -1]
        dark = normalise([np.zeros_like(sample.pixels)])
        blind = one.model(input_ids=ids, pixel_values=dark).logits[0, -1]
    assert float((seen - blind).abs().max()) > 1e-4


def test_folder_without_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        FindingsWriter.load(tmp_path, GenerateSettings(), "cpu")
    assert str(error.value) == (
        f"found no config.json in {tmp_path}; expected a VLM's folder; run the finetune stage"
    )


def test_folder_of_another_model_is_named() -> None:
    folder = trained_world() / "language"
    with pytest.raises(InputError) as error:
        FindingsWriter.load(folder, GenerateSettings(), "cpu")
    assert str(error.value) == (
        f"found a model of type 'llama' in {folder}; expected llava; run the finetune stage"
    )
