"""Drawing: the base's own film before the guide's first step, seeds, batches, and going on."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusion_world import drawing_run, drawing_stage, drawing_world
from PIL import Image

from infra.child import STOPPED_BY_SIGTERM
from infra.errors import InputError
from infra.fingerprint import HOUSE
from infra.runs import DrawRun, write_run
from infra.settings.diffusion import DrawSettings
from models import draw as drawing
from models.diffusion_stages import prepare_guide
from models.draw import draw, read_prompts
from models.drawing_sampler import DrawingSampler, Request
from models.prompt_states import PromptReader
from models.tokenizers import load_tokenizer
from sources.drawing import DRAWING_SCHEMA, PROMPT_SCHEMA, drawing_prompt
from sources.learned_views import SHOWN_FROM

QUICK = DrawSettings(steps=3, guidance=2.0, batch_size=2)
LEFT, RIGHT = "There is a nodule in the left lung.", "There is a nodule in the right lung."


@cache
def sampler(stage: str = "guide", guidance: float = 2.0) -> DrawingSampler:
    settings = QUICK.model_copy(update={"guidance": guidance})
    return DrawingSampler.load(drawing_world() / stage, settings, "cpu")


@pytest.mark.parametrize("guidance", [1.0, 1.1, 7.5])
def test_before_its_first_step_the_guide_draws_what_the_base_draws(
    guidance: float, tmp_path: Path
) -> None:
    run = drawing_run(tmp_path, drawing_stage("guide"))
    untrained: Any = prepare_guide(run).model
    reader = PromptReader(load_tokenizer(drawing_world() / "guide" / "tokenizer"), 16)
    settings = QUICK.model_copy(update={"guidance": guidance})
    guided = DrawingSampler(untrained, reader, 32, settings)
    requests = [Request(LEFT, 3), Request(RIGHT, 4)]
    base = sampler("diffuse", guidance)
    assert not base.model.reads_prompts
    assert torch.equal(guided.latents(requests), base.latents(requests))


def test_a_trained_guide_follows_its_prompt_and_guidance_goes_further() -> None:
    request = [Request(LEFT, 3)]
    base = sampler("diffuse").latents(request)
    one = sampler("guide", 1.0).latents(request)
    far = sampler("guide", 4.0).latents(request)
    assert 0 < float((one - base).norm()) < float((far - base).norm())
    other = sampler("guide", 1.0).latents([Request(RIGHT, 3)])
    assert not torch.equal(one, other)


def test_films_are_grey_squares_of_the_recipes_size() -> None:
    films = sampler().draw([Request(LEFT, 1)])
    assert films.shape == (1, 32, 32)
    assert films.dtype == np.uint8
    assert films.std() > 0


def test_a_film_depends_on_its_prompt_and_seed_and_not_on_its_neighbours() -> None:
    long = " ".join([LEFT] * 6)
    requests = [Request(LEFT, 1), Request(long, 2), Request(RIGHT, 3), Request(LEFT, 4)]
    together = sampler().draw(requests)
    for number, request in enumerate(requests):
        alone = sampler().draw([request])[0].astype(int)
        assert np.abs(alone - together[number]).max() <= 1, "to the rounding of a sum"
    assert not np.array_equal(together[0], together[3]), "another seed, another film"


def write_prompts(path: Path, count: int = 5, **columns: list[Any]) -> Path:
    told: dict[str, list[Any]] = {
        "prompt_id": [f"p{number}" for number in range(count)],
        "prompt": [LEFT if number % 2 else RIGHT for number in range(count)],
        "seed": list(range(count)),
    }
    pq.write_table(pa.table({**told, **columns}, schema=PROMPT_SCHEMA), path)
    return path


def draw_run(folder: Path, **changes: object) -> DrawRun:
    values = {
        "model": drawing_world() / "guide",
        "draw": QUICK,
        "prompts": folder / "prompts.parquet",
        "output": folder / "out",
        "scratch": folder / "parts",
        "device": "cpu",
    }
    return DrawRun.model_validate({**values, **changes})


def test_a_view_that_was_never_shown_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    """Unless whoever measures what comes of it says so; an older stage tells no views."""
    asked = [drawing_prompt(view, LEFT) for view in ("PA", "UNKNOWN", "LATERAL")]
    write_prompts(tmp_path / "prompts.parquet", 3, prompt=asked)
    told = "a prompt for a LATERAL film; expected one of a view that this model has been shown: PA;"
    with pytest.raises(InputError, match=told):
        draw(draw_run(tmp_path))
    assert not (tmp_path / "parts").exists()
    assert draw(draw_run(tmp_path, any_view=True)) == 0
    shutil.copytree(drawing_world() / "guide", tmp_path / "older")
    facts = json.loads((tmp_path / "older" / "config.json").read_text())
    assert facts.pop("views")["PA"] > SHOWN_FROM
    (tmp_path / "older" / "config.json").write_text(json.dumps(facts))
    assert draw(draw_run(tmp_path, model=tmp_path / "older", output=tmp_path / "again")) == 0


def drawn(run: DrawRun) -> bytes:
    return (run.output / "drawings.parquet").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> DrawRun:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_prompts(folder / "prompts.parquet")
    run = draw_run(folder, png=True)
    assert draw(run) == 0
    return run


def test_every_prompt_gets_its_film_in_order(undisturbed: DrawRun) -> None:
    table = pq.read_table(undisturbed.output / "drawings.parquet")
    assert table.schema.equals(DRAWING_SCHEMA)
    rows = table.to_pylist()
    assert [row["prompt_id"] for row in rows] == [f"p{number}" for number in range(5)]
    requests = [Request(row["prompt"], row["seed"]) for row in rows[:2]]
    wanted = sampler().draw(requests)
    for row, film in zip(rows, wanted, strict=False):
        pixels = np.asarray(Image.open(io.BytesIO(row["pixels"])))
        assert np.array_equal(pixels, film)
        assert pixels.shape == (row["height"], row["width"]) == (32, 32)
        png = (undisturbed.output / f"{row['prompt_id']}.png").read_bytes()
        assert png == row["pixels"]


def test_the_result_tells_how_it_was_drawn(undisturbed: DrawRun) -> None:
    result = json.loads((undisturbed.output / "result.json").read_text())
    sampler = {"steps": 3, "guidance": 2.0, "batch_size": 2, "guide_parts": "all"}
    assert result == {"drawings": 5, **sampler}
    assert undisturbed.scratch is not None
    assert list(undisturbed.scratch.iterdir()) == []


def test_a_stopped_run_keeps_its_films_and_goes_on(
    undisturbed: DrawRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = draw_run(tmp_path, prompts=undisturbed.prompts)
    told: list[int] = []
    monkeypatch.setattr(drawing.StopAtSigterm, "__call__", lambda _: len(told) == 2)
    part = drawing._draw_part

    def counted(*arguments: Any) -> None:
        told.append(1)
        part(*arguments)

    monkeypatch.setattr(drawing, "_draw_part", counted)
    assert draw(run) == STOPPED_BY_SIGTERM
    assert not (run.output / "result.json").exists()
    assert run.scratch is not None
    parts = sorted(run.scratch.rglob("*.parquet"))
    assert len(parts) == 2
    first = parts[0].stat().st_mtime_ns
    parts[1].write_bytes(b"torn")
    monkeypatch.setattr(drawing.StopAtSigterm, "__call__", lambda _: len(told) == 4)
    assert draw(run) == STOPPED_BY_SIGTERM
    assert parts[0].stat().st_mtime_ns == first, "what is whole is not drawn again"
    monkeypatch.undo()
    assert draw(run) == 0
    assert drawn(run) == drawn(undisturbed)


@pytest.mark.slow
def test_a_child_process_draws_the_same(undisturbed: DrawRun, tmp_path: Path) -> None:
    run = draw_run(tmp_path, prompts=undisturbed.prompts)
    write_run(run, tmp_path / "run.json")
    done = subprocess.run(
        [sys.executable, "-m", "models.draw", str(tmp_path / "run.json")],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["start", "done"]
    assert LEFT not in done.stdout + done.stderr, "prompts are report text"
    assert drawn(run) == drawn(undisturbed)


@pytest.mark.parametrize(
    ("columns", "png", "said"),
    [
        ({"prompt_id": ["a", "a"]}, False, "a prompt_id twice"),
        ({"prompt_id": ["a", "../b"]}, True, "a prompt_id in .* that names no file"),
        ({"prompt_id": ["a", ".b"]}, True, "that names no file"),
    ],
)
def test_prompts_that_cannot_be_drawn_are_refused(
    tmp_path: Path, columns: dict[str, Any], png: bool, said: str
) -> None:
    write_prompts(tmp_path / "prompts.parquet", 2, **columns)
    with pytest.raises(InputError, match=said):
        draw(draw_run(tmp_path, png=png))


def test_a_file_that_holds_no_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "text.parquet")
    write_prompts(tmp_path / "empty.parquet", 0)
    with pytest.raises(InputError, match="no prompt"):
        read_prompts(tmp_path / "empty.parquet")
    pq.write_table(pa.table({"prompt_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "other.parquet")


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    write_prompts(tmp_path / "prompts.parquet")
    with pytest.raises(InputError, match="a model of type 'cxr-dual-encoder'"):
        draw(draw_run(tmp_path, model=drawing_world() / "pretrain"))


def test_an_autoencoders_folder_draws_nothing(tmp_path: Path) -> None:
    write_prompts(tmp_path / "prompts.parquet")
    with pytest.raises(InputError, match=r"no 'context_tokens' in .* name such a stage's folder"):
        draw(draw_run(tmp_path, model=drawing_world() / "autoencode"))


def test_prompts_that_are_absent_or_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    absent: dict[str, Any] = {"prompt_id": ["a"], "prompt": pa.array([None], pa.string())}
    broken = pa.array([b"\xff\xfe"], pa.binary()).buffers()
    no_text = {**absent, "prompt": pa.Array.from_buffers(pa.string(), 1, broken)}
    for columns in (absent, no_text, {**absent, "prompt": ["x"], "seed": [None]}):
        pq.write_table(pa.table({"seed": [1], **columns}), path)
        with pytest.raises(InputError, match="which cannot be read"):
            read_prompts(path)


def test_more_steps_than_the_noise_has_are_refused() -> None:
    with pytest.raises(InputError, match="found 101 steps to draw in; expected at most"):
        DrawingSampler.load(drawing_world() / "guide", DrawSettings(steps=101), "cpu")


def test_a_film_that_is_no_numbers_is_none() -> None:
    far = QUICK.model_copy(update={"guidance": 1e38})
    drawing_far = DrawingSampler.load(drawing_world() / "guide", far, "cpu")
    with pytest.raises(InputError, match="a film that is no numbers, drawn with guidance 1e\\+38"):
        drawing_far.draw([Request(LEFT, 1)])
