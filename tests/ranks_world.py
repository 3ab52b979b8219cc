"""Stages on several ranks, through the launcher, and their sudden end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from models_world import MODELS, stage, train_run, trained_world

from infra.launch import Event, run_module
from infra.runs import TrainRun, write_run
from infra.settings.stages import StageSettings
from models.sealed import WHOLE

LORA = {"rank": 4, "alpha": 8, "dropout": 0.0}
"""Without dropout, whose masks each rank draws for itself."""


def same_on_all_ranks(name: str, **changes: object) -> StageSettings:
    """A quick stage whose losses do not depend on the number of ranks."""
    lora = {"lora": LORA} if name == "finetune" and "lora" not in changes else {}
    return stage(name, **{**lora, **changes})


def run_of(root: Path, settings: StageSettings, **changes: object) -> TrainRun:
    """A run of that stage on the trained world's inputs; no dropout in the text tower either."""
    inputs = {name: trained_world() / name for name in settings.starts_from}
    models = MODELS.model_dump()
    models["text_encoder"]["dropout"] = 0.0
    return train_run(root, settings, **{"inputs": inputs, "models": models, **changes})


def with_zero(run: TrainRun, zero: int, **changes: object) -> TrainRun:
    """The same run under another ZeRO stage."""
    settings = run.stage.model_copy(update={"deepspeed_zero": zero, **changes})
    return run.model_copy(update={"stage": settings})


def train_on_ranks(
    run: TrainRun, ranks: int, on_event: Callable[[Event], None] = lambda event: None
) -> None:
    """Train as a user's run does."""
    file = run.resume.parent / "run.json"
    write_run(run, file)
    run_module("models.train", file, on_event, processes=ranks, launched=True)


def kill_after(run: TrainRun, checkpoint: int) -> Callable[[Event], None]:
    """SIGKILL to the last rank as soon as that checkpoint is whole."""
    wanted = run.resume / f"checkpoint-{checkpoint}" / WHOLE

    def look(event: Event) -> None:
        if event["event"] == "progress" and wanted.is_file():
            ranks = [each for each in psutil.process_iter() if rank_of(each, run) is not None]
            max(ranks, key=lambda each: rank_of(each, run) or 0).kill()

    return look


def rank_of(process: psutil.Process, run: TrainRun) -> int | None:
    """The rank that this process is in that run, None for any other process."""
    try:
        if str(run.resume.parent / "run.json") in process.cmdline():
            rank = process.environ().get("RANK")
            return None if rank is None else int(rank)
    except psutil.Error:
        return None
    return None


def losses(run: TrainRun) -> list[float]:
    lines = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def result(run: TrainRun) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.output / "result.json").read_text())
    return found
