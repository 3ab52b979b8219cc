"""A stage on two ranks: the losses of one, checkpoints for any number, one common last step."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from models_world import stage, train_run
from ranks_world import losses, rank_of, result, run_of, same_on_all_ranks, train_on_ranks

from infra.fingerprint import HOUSE
from infra.launch import ChildFailed, run_module
from models.kept import keep
from models.sealed import WHOLE, last_whole_checkpoint, seal
from models.train import train


@pytest.mark.slow
def test_two_ranks_repeat_the_losses_of_one_and_one_goes_on_from_two(tmp_path: Path) -> None:
    settings = same_on_all_ranks("finetune", steps=6, save_steps=3, validate_steps=2)
    alone = run_of(tmp_path / "alone", settings)
    assert train(alone) == 0
    pair = run_of(tmp_path / "pair", settings)
    train_on_ranks(pair, 2)
    assert losses(pair) == pytest.approx(losses(alone), rel=1e-4)
    assert result(pair)["kept_step"] == result(alone)["kept_step"]
    ours, theirs = (result(each)["validate_losses"] for each in (pair, alone))
    assert [step for step, _ in ours] == [2, 4, 6]
    assert [each for _, each in ours] == pytest.approx([each for _, each in theirs], rel=1e-4)
    left = run_of(tmp_path / "left", settings)
    shutil.copytree(pair.resume / "checkpoint-3", left.resume / "checkpoint-3")
    assert train(left) == 0
    assert losses(left) == pytest.approx(losses(alone), rel=1e-4)


def test_ranks_that_see_different_folders_take_the_first_ones_view(tmp_path: Path) -> None:
    """A shared disk may lag: the second rank sees neither the checkpoint nor what is kept."""
    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
    keep(tmp_path / "0", 4, 1.25, {"w": torch.zeros(2)})
    (tmp_path / "0" / "checkpoint-6").mkdir()
    (tmp_path / "0" / "checkpoint-6" / "training.json").write_text("{}")
    seal(tmp_path / "0" / "checkpoint-6")
    child = (
        "import sys\n"
        "from pathlib import Path\n"
        "from torch import distributed\n"
        "from models.kept import kept_on_all_ranks\n"
        "from models.sealed import checkpoint_of_all_ranks\n"
        "root, rank = Path(sys.argv[1]), int(sys.argv[2])\n"
        "place = (root / 'meeting').as_uri()\n"
        "distributed.init_process_group('gloo', place, rank=rank, world_size=2)\n"
        "kept = kept_on_all_ranks(root / str(rank))\n"
        "checkpoint = checkpoint_of_all_ranks(root / str(rank))\n"
        "nothing = kept_on_all_ranks(root / 'none')\n"
        "print(kept.step, kept.validate_loss, checkpoint.name, nothing)\n"
    )
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", child, str(tmp_path), str(number)],
            cwd=HOUSE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (0, 1)
    ]
    assert [each.communicate(timeout=240)[0] for each in ranks] == [
        "4 1.25 checkpoint-6 None\n"
    ] * 2


@pytest.mark.slow
@pytest.mark.parametrize("alike", [True, False])
def test_ranks_of_which_only_one_has_images_end_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alike: bool
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    has_images = "True" if alike else "distributed.get_rank() == 0"
    (tmp_path / "child.py").write_text(
        "import json, torch\n"
        "from torch import distributed\n"
        "from models.ranks import part_ranks, require_alike\n"
        "distributed.init_process_group('gloo')\n"
        "batch = {'input_ids': torch.zeros(1)}\n"
        f"if {has_images}:\n"
        "    batch['pixel_values'] = torch.zeros(1)\n"
        "require_alike(batch, 7)\n"
        "part_ranks()\n"
        "print(json.dumps({'event': 'done'}), flush=True)\n"
    )
    events: list[Any] = []
    if alike:
        run_module("child", tmp_path / "run.json", events.append, processes=2)
        assert events == [{"event": "done"}] * 2
    else:
        with pytest.raises(ChildFailed, match="found images on 1 of 2 ranks at step 7"):
            run_module("child", tmp_path / "run.json", events.append, processes=2)


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_both_ranks_with_one_line(tmp_path: Path) -> None:
    run = run_of(tmp_path, same_on_all_ranks("pretrain", learning_rate=1e30, warmup_share=0.0))
    with pytest.raises(ChildFailed) as error:
        train_on_ranks(run, 2)
    assert str(error.value) == (
        "models.train ended with 1: stage pretrain: the loss is nan at step 2; lower the stage's "
        "learning_rate (1e+30) or lengthen its warmup"
    )
    assert not run.output.exists()


@pytest.mark.slow
def test_sigterm_at_one_rank_stops_both_after_the_same_step(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", steps=3000, save_steps=2999))

    def end_the_second_rank(event: Any) -> None:
        if event["event"] == "progress" and event["step"] < 2999:
            for process in psutil.process_iter():
                if rank_of(process, run) == 1:
                    process.send_signal(signal.SIGTERM)

    with pytest.raises(ChildFailed):
        train_on_ranks(run, 2, end_the_second_rank)
    checkpoint = last_whole_checkpoint(run.resume)
    assert checkpoint is not None
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert 0 < step < 2999
    told = json.loads((checkpoint / "training.json").read_text())
    assert told["optimizer_steps"] == told["schedule"]["last_epoch"] == step
    assert (checkpoint / WHOLE).is_file()
    assert not run.output.exists(), "a stage that was stopped half way has no output"
