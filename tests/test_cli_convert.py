"""``cxr convert``: what a user types, what a bad folder says, and that nothing half is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_world import Say
from release_world import VISION, drawn, trunk_shapes, write_language, write_release
from transformers import AutoModel

from models.convert.release import ENCODER_CHECKPOINT


@pytest.mark.slow  # each call starts a process that imports torch
def test_release_goes_in_and_comes_out(
    tmp_path: Path, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_release(tmp_path / "release")
    write_language(tmp_path / "weights" / "lab" / "vicuna")
    monkeypatch.setenv("CXR_WEIGHTS_ROOT", str(tmp_path / "weights"))
    said = cxr("convert", "import-llava-rad", release, tmp_path / "out", "--language", "lab/vicuna")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "image_tokens     16",
        "lora_rank        4",
        "text_tokenizer   False",
        f"written to {tmp_path / 'out'}",
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "dual_encoder",
        "vlm",
        "result.json",
    }
    vlm, dual = tmp_path / "out" / "vlm", tmp_path / "out" / "dual_encoder"
    said = cxr("convert", "export-llava-rad", vlm, dual, tmp_path / "back", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    assert told["files"] == sorted(path.name for path in release.iterdir())
    assert told["output"] == str(tmp_path / "back")


def test_bad_release_is_one_line_and_leaves_nothing(tmp_path: Path, cxr: Say) -> None:
    release, language = write_release(tmp_path / "release"), write_language(tmp_path / "language")
    (release / ENCODER_CHECKPOINT).unlink()
    said = cxr("convert", "import-llava-rad", release, tmp_path / "out", "--language", language)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"error: found no file {release / ENCODER_CHECKPOINT}; expected a checkpoint; check that "
        "the folder is whole\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"release", "language"}


@pytest.mark.slow  # each call starts a process that imports torch
@pytest.mark.parametrize("more", [(), ("--language", "no/such-model")])
def test_absent_language_model_is_named(tmp_path: Path, cxr: Say, more: tuple[str, ...]) -> None:
    release = write_release(tmp_path / "release")
    said = cxr("convert", "import-llava-rad", release, tmp_path / "out", *more)
    name = more[1] if more else "lmsys/vicuna-7b-v1.5"
    assert said.code == 2
    assert said.err == (
        f"error: found no base language model '{name}'; expected a folder with the published "
        f"model; weights {name}: no weights root is set; download them and set CXR_WEIGHTS_ROOT\n"
    )


@pytest.mark.slow
def test_vision_tower_is_written_once(tmp_path: Path, cxr: Say) -> None:
    torch.save(drawn(trunk_shapes(VISION), seed=6), tmp_path / "tower.pth")
    asked = ("convert", "vision", tmp_path / "tower.pth", tmp_path / "out", "--image-px", 84)
    said = cxr(*asked)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[:3] == [
        "model_type       dinov2",
        "image_px         84",
        "patches          36",
    ]
    assert AutoModel.from_pretrained(tmp_path / "out").config.image_size == 84
    said = cxr(*asked)
    assert said.code == 2
    assert said.err == (
        f"error: found files in {tmp_path / 'out'}; expected an empty or new folder; choose "
        "another\n"
    )
