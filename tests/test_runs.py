"""run.json: written, read back, and refused when it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from models_world import IMAGES, MODELS, stage

from infra.errors import InputError
from infra.runs import GenerateRun, RegisterRun, TrainRun, read_run, write_run
from infra.settings.sections import GenerateSettings


def train_run(tmp_path: Path) -> TrainRun:
    return TrainRun(
        stage=stage("align"),
        models=MODELS,
        train_examples=(tmp_path / "a.parquet",),
        inputs={"language": tmp_path / "language"},
        output=tmp_path / "out",
        resume=tmp_path / "resume",
    )


def test_train_run_survives_the_file(tmp_path: Path) -> None:
    run = train_run(tmp_path)
    write_run(run, tmp_path / "deep" / "run.json")
    assert read_run(TrainRun, tmp_path / "deep" / "run.json") == run


def test_generate_run_has_one_control_by_default(tmp_path: Path) -> None:
    run = GenerateRun(
        model=tmp_path, generate=GenerateSettings(), examples=(), output=tmp_path / "out"
    )
    assert run.controls == ("none",)
    write_run(run, tmp_path / "run.json")
    assert read_run(GenerateRun, tmp_path / "run.json") == run


def test_register_run_becomes_a_candidate_by_default(tmp_path: Path) -> None:
    run = RegisterRun(
        model=tmp_path,
        model_name="m",
        tracking_uri="sqlite:///x",
        experiment="e",
        images=IMAGES,
        output=tmp_path,
    )
    assert run.alias == "candidate"


def test_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_run(train_run(tmp_path), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "gpu": 1}))
    with pytest.raises(InputError) as error:
        read_run(TrainRun, path)
    assert str(error.value) == (
        "found 'gpu' of run.json: extra inputs are not permitted; expected a TrainRun; "
        "write it with infra.runs.write_run"
    )


def test_unknown_control_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run = GenerateRun(model=tmp_path, generate=GenerateSettings(), examples=(), output=tmp_path)
    path.write_text(run.model_dump_json().replace('"none"', '"mirrored"'))
    with pytest.raises(InputError, match=r"'controls\.0' of run\.json: input should be 'none'"):
        read_run(GenerateRun, path)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_run(TrainRun, tmp_path / "run.json")
    assert str(error.value) == (
        f"found no file {tmp_path / 'run.json'}; expected a TrainRun as JSON; "
        "write it with infra.runs.write_run"
    )


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"found 'the top' of run\.json: invalid json"):
        read_run(TrainRun, tmp_path / "run.json")
