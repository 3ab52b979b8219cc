"""Training stages end to end at toy size: what is trained, what is left, and surviving a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from models_world import STAGES, stage, train_run, trained_world
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from infra.errors import CxrError
from infra.runs import TrainRun, write_run
from models.checkpoint import TRAINABLE
from models.divergence import Diverged
from models.named_state import load_weights
from models.sealed import WHOLE, last_whole_checkpoint, seal
from models.tokenizers import load_tokenizer
from models.train import train
from models.vlm import load_vlm

HOUSE = Path(__file__).parent.parent


def losses(folder: Path) -> list[float]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("language", {"generation_config.json", "tokenizer.json", "tokenizer_config.json"}),
        ("pretrain", {"preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}),
        (
            "align",
            {
                "generation_config.json",
                "processor_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
            },
        ),
        (
            "finetune",
            {
                "adapter",
                "generation_config.json",
                "processor_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
            },
        ),
    ],
)
def test_stage_leaves_a_hugging_face_folder(name: str, files: set[str]) -> None:
    found = {file.name for file in (trained_world() / name).iterdir()}
    always = {"config.json", "model.safetensors", "losses.jsonl", "result.json"}
    assert found == files | always


@pytest.mark.parametrize("name", list(STAGES))
def test_result_and_losses_agree(name: str) -> None:
    folder = trained_world() / name
    result = json.loads((folder / "result.json").read_text())
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert (result["stage"], result["kind"], result["steps"]) == (name, name, 6)
    assert (result["first_loss"], result["last_loss"]) == (rows[0]["loss"], rows[-1]["loss"])
    assert result["validate_loss"] > 0


def test_language_stage_learns_the_reports() -> None:
    found = losses(trained_world() / "language")
    assert found[-1] < found[0] - 0.3


def test_language_model_loads_with_hugging_faces_own_classes() -> None:
    model = AutoModelForCausalLM.from_pretrained(trained_world() / "language")
    assert model.config.model_type == "llama"
    assert model.config.vocab_size == len(load_tokenizer(trained_world() / "language"))


def test_align_trains_the_projector_alone() -> None:
    root = trained_world()
    parts = weights(root / "align")
    dual, language = weights(root / "pretrain"), weights(root / "language")
    tower = "model.vision_tower." if "model.vision_tower.layernorm.weight" in parts else ""
    if not tower:
        tower = next(name for name in parts if name.endswith("vision_tower.layernorm.weight"))
        tower = tower.removesuffix("layernorm.weight")
    for name, value in dual.items():
        if name.startswith("vision_model."):
            assert torch.equal(parts[tower + name.removeprefix("vision_model.")], value)
    names = {name.split("layers.", 1)[1] for name in language if "layers." in name}
    for name in names:
        one = next(value for key, value in language.items() if key.endswith(f".layers.{name}"))
        two = next(
            value for key, value in parts.items() if "language_model" in key and key.endswith(name)
        )
        assert torch.equal(one, two)
    result = json.loads((root / "align" / "result.json").read_text())
    projector = 32 * 32 + 32 + 32 * 32 + 32
    assert result["trained_parameters"] == projector


def test_finetune_trains_language_layers_and_projector_and_leaves_the_tower() -> None:
    root = trained_world()
    moved = changed(weights(root / "align"), weights(root / "finetune"))
    assert moved
    assert all("language_model" in name or "multi_modal_projector" in name for name in moved)
    assert any("multi_modal_projector" in name for name in moved)
    assert sum("layers." in name for name in moved) == 2 * 7
    assert not any("embed_tokens" in name or "lm_head" in name for name in moved)


def test_adapter_on_the_aligned_model_is_the_merged_model() -> None:
    from peft import PeftModel

    root = trained_world()
    merged = load_vlm(root / "finetune").eval()
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        adapted = PeftModel.from_pretrained(load_vlm(root / "align"), root / "finetune" / "adapter")
    generator = torch.Generator().manual_seed(0)
    image_id = merged.config.image_token_id
    batch = {
        "input_ids": torch.tensor([[1, *[image_id] * 16, 7, 9, 11]]),
        "pixel_values": torch.randn(1, 3, 28, 28, generator=generator),
    }
    with torch.no_grad():
        torch.testing.assert_close(
            adapted.eval()(**batch).logits, merged(**batch).logits, atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("name", STAGES)
def test_a_saved_model_names_no_place(name: str) -> None:
    """A moved data root must not leave an adapter that looks for its base where it was."""
    folder = trained_world() / name
    pages = [path for path in folder.rglob("*") if path.suffix in (".json", ".md")]
    assert len(pages) > 2
    for path in pages:
        assert str(folder.parent) not in path.read_text(), path


@pytest.mark.slow
def test_stage_reads_its_sources_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train_run(tmp_path, stage("pretrain", steps=1, sources=["chexpert"]))
    assert train(run) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (start["event"], start["stage"], start["examples"], start["steps"]) == (
        "start",
        "pretrain",
        16,
        1,
    )


def test_progress_and_result_are_json_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(train_run(tmp_path, stage("language", steps=2))) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "done"
    last = [each for each in events if each["event"] == "progress"][-1]
    assert (last["stage"], last["step"], last["steps"]) == ("language", 2, 2)


def test_lines_are_few_and_tell_the_loss_of_every_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_run(tmp_path, stage("language", steps=40))
    assert train(run) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = [each for each in events if each["event"] == "progress"]
    assert len(lines) < 40
    told = [(step, loss) for line in lines for step, loss in line["losses"]]
    rows = [json.loads(row) for row in (run.output / "losses.jsonl").read_text().splitlines()]
    assert told == [(row["step"], round(row["loss"], 5)) for row in rows]
    assert all(line["losses"][-1] == [line["step"], line["loss"]] for line in lines)


def test_not_a_number_stops_with_advice(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("pretrain", learning_rate=1e30, warmup_share=0.0))
    with pytest.raises(Diverged) as error:
        train(run)
    assert str(error.value) == (
        "stage pretrain: the loss is nan at step 2; lower the stage's learning_rate (1e+30) "
        "or lengthen its warmup"
    )
    assert not (run.output / "result.json").exists()


@pytest.mark.slow
def test_full_finetune_trains_what_the_stage_names(tmp_path: Path) -> None:
    root = trained_world()
    settings = stage("finetune", trainable=["vision", "projector"], lora=None, steps=2)
    run = train_run(tmp_path, settings, inputs={"align": root / "align"})
    assert train(run) == 0
    moved = changed(weights(root / "align"), weights(run.output))
    assert any("vision_tower" in name for name in moved)
    assert not any("language_model" in name for name in moved)


def test_resumed_stage_repeats_the_undisturbed_losses(tmp_path: Path) -> None:
    settings = stage("finetune", steps=6, save_steps=3)
    inputs = {"align": trained_world() / "align"}
    undisturbed = train_run(tmp_path, settings, inputs=inputs)
    assert train(undisturbed) == 0
    run = undisturbed.model_copy(
        update={"output": tmp_path / "again", "resume": tmp_path / "resume-again"}
    )
    shutil.copytree(undisturbed.resume / "checkpoint-3", run.resume / "checkpoint-3")
    assert train(run) == 0
    assert losses(run.output) == pytest.approx(losses(undisturbed.output), rel=1e-6)
    for name, value in weights(undisturbed.output).items():
        torch.testing.assert_close(weights(run.output)[name], value, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_killed_stage_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    settings = stage("finetune", steps=10, save_steps=2)
    inputs = {"align": trained_world() / "align"}
    undisturbed = train_run(tmp_path / "a", settings, inputs=inputs)
    assert train(undisturbed) == 0
    run = train_run(tmp_path / "b", settings, inputs=inputs)
    kill_after(run, tmp_path / "run.json", signal.SIGKILL, checkpoint=4)
    assert not (run.output / "result.json").exists()
    assert train(run) == 0
    assert losses(run.output) == pytest.approx(losses(undisturbed.output), rel=1e-5)
    for name, value in weights(undisturbed.output).items():
        torch.testing.assert_close(weights(run.output)[name], value, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_143(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", steps=2000, save_steps=1999))
    code = kill_after(run, tmp_path / "run.json", signal.SIGTERM)
    assert code == 143
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    assert 0 < int(checkpoint.name.removeprefix("checkpoint-")) < 1999


def kill_after(run: TrainRun, file: Path, how: signal.Signals, checkpoint: int = 0) -> int:
    """Start the stage as a child and kill it once it has made that checkpoint, or a step."""
    write_run(run, file)
    child = subprocess.Popen(
        [sys.executable, "-m", "models.train", str(file)],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert child.stdout is not None
    wanted = run.resume / f"checkpoint-{checkpoint}" / WHOLE
    for line in child.stdout:
        if checkpoint and '"progress"' in line and not wanted.is_file():
            while not wanted.is_file() and child.poll() is None:
                time.sleep(0.005)
        if '"progress"' in line:
            break
    child.send_signal(how)
    child.stdout.close()
    return child.wait(timeout=60)


def sealed_checkpoint(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir()
    (folder / TRAINABLE).write_bytes(b"weights" * 100)
    seal(folder)
    return folder


def test_torn_checkpoint_is_passed_over_and_removed(tmp_path: Path) -> None:
    sealed_checkpoint(tmp_path, 2)
    whole = sealed_checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-12").mkdir()
    assert last_whole_checkpoint(tmp_path) == whole
    assert not (tmp_path / "checkpoint-12").exists()
    assert last_whole_checkpoint(tmp_path / "none") is None


def test_a_checkpoint_with_one_flipped_bit_is_passed_over(tmp_path: Path) -> None:
    older, newer = sealed_checkpoint(tmp_path, 2), sealed_checkpoint(tmp_path, 10)
    data = bytearray((newer / TRAINABLE).read_bytes())
    data[350] ^= 1
    (newer / TRAINABLE).write_bytes(bytes(data))
    assert last_whole_checkpoint(tmp_path) == older
    assert not newer.exists()


def test_only_the_first_rank_removes_what_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sealed_checkpoint(tmp_path, 2)
    (tmp_path / "checkpoint-3").mkdir()
    monkeypatch.setenv("RANK", "1")
    assert last_whole_checkpoint(tmp_path) == whole
    assert (tmp_path / "checkpoint-3").exists()


def test_checkpoint_of_another_stage_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"strange": torch.zeros(1)}, tmp_path / TRAINABLE)
    with pytest.raises(CxrError) as error:
        load_weights(torch.nn.Linear(2, 2), tmp_path / TRAINABLE)
    assert str(error.value) == (
        f"{tmp_path / TRAINABLE} holds other parameters than the stage trains: bias, …"
    )
