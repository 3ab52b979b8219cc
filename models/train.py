"""``python -m models.train run.json``: train one stage, resuming where a killed run stopped.

Leaves in the output folder the model in Hugging Face's layout, ``losses.jsonl`` and, last,
``result.json``. Exit codes: 0 done, 2 bad input, 1 failed, 143 stopped by SIGTERM after a
checkpoint.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from infra.errors import InputError
from infra.runs import TrainRun
from infra.settings.stages import StageSettings
from models.data import ExampleShards, TrainingOrder
from models.portable import forget_places
from models.process import report, run_child, write_json
from models.stages import Prepared, prepare
from models.temperature import TemperatureClip
from models.trainer import StageCallback, StageTrainer, last_whole_checkpoint, part_ranks
from models.validate import validate_loss
from models.vlm import parameters

STOPPED_BY_SIGTERM = 128 + 15
DEEPSPEED = Path(__file__).parent.parent / "infra" / "deepspeed"


def train(run: TrainRun) -> int:
    """Train the stage and write its output; returns the exit code."""
    set_verbosity_error()
    disable_progress_bar()
    set_seed(run.stage.seed)
    sources = run.stage.sources
    prepared = prepare(run, lambda: ExampleShards(run.train_examples, None, sources))
    side_px = run.models.vision.image_px if prepared.with_pixels else None
    examples = ExampleShards(run.train_examples, side_px, sources)
    steps = total_steps(run.stage, len(examples))
    _report_start(run, prepared, examples, steps)
    callback = StageCallback(run.stage.name)
    contrastive = run.stage.kind == "pretrain"
    trainer = StageTrainer(
        model=prepared.model,
        args=training_arguments(run, steps),
        data_collator=prepared.collate,
        train_dataset=examples,
        callbacks=[callback, TemperatureClip()] if contrastive else [callback],
        order=training_order(run.stage, examples, steps),
        contrastive_piece=run.stage.device_batch_size if contrastive else None,
    )
    trainer.remove_callback(PrinterCallback)
    callback.stop_at_sigterm()
    checkpoint = last_whole_checkpoint(run.resume)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if callback.terminated:
        part_ranks()
        return STOPPED_BY_SIGTERM
    if trainer.is_world_process_zero():
        losses = [_loss_row(entry) for entry in trainer.state.log_history if "loss" in entry]
        validate = _validate(run, prepared, side_px)
        _write_output(run, prepared, losses, validate)
    part_ranks()
    return 0


def training_order(stage: StageSettings, examples: ExampleShards, steps: int) -> TrainingOrder:
    """The order of the stage's examples over all its steps."""
    one_source = stage.batch_size if stage.batches == "one-source" else 0
    return TrainingOrder(examples, steps * stage.batch_size, stage.seed, one_source)


def total_steps(stage: StageSettings, rows: int) -> int:
    """Optimizer steps of a stage; the last batch of an epoch may borrow from the next."""
    if stage.steps is not None:
        return stage.steps
    assert stage.epochs is not None
    return max(1, -(-round(rows * stage.epochs) // stage.batch_size))


def training_arguments(run: TrainRun, steps: int) -> TrainingArguments:
    """The stage's settings in Hugging Face's words; the global batch is spread over the devices.

    Raises:
        InputError: the batch does not divide, or DeepSpeed runs without its launcher.
    """
    stage = run.stage
    on_gpu = torch.cuda.is_available() and run.device != "cpu"
    per_device, accumulation = spread_batch(stage, int(os.environ.get("WORLD_SIZE", "1")))
    return TrainingArguments(
        output_dir=str(run.resume),
        max_steps=steps,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=accumulation,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=round(stage.warmup_share * steps),
        weight_decay=stage.weight_decay,
        optim="adamw_torch",
        bf16=stage.precision == "bfloat16",
        tf32=True if on_gpu else None,
        use_cpu=not on_gpu,
        activation_checkpointing=stage.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        deepspeed=_deepspeed(stage),
        ddp_find_unused_parameters=False,
        seed=stage.seed,
        save_strategy="steps",
        save_steps=stage.save_steps,
        save_total_limit=2,  # the last whole one outlives a kill while the next is written
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=run.workers,
        dataloader_pin_memory=on_gpu,
    )


def spread_batch(stage: StageSettings, devices: int) -> tuple[int, int]:
    """Examples per device and accumulated passes whose product with ``devices`` is the batch.

    A contrastive batch goes to its device whole: gradient caching cuts it there.

    Raises:
        InputError: there is no such pair.
    """
    share, rest = divmod(stage.batch_size, devices)
    whole = stage.kind == "pretrain" or stage.device_batch_size is None
    per_device = share if whole else min(share, stage.device_batch_size or share)
    if rest or share % per_device:
        raise InputError(
            f"stage '{stage.name}': batch_size {stage.batch_size}, device_batch_size "
            f"{stage.device_batch_size}, {devices} devices",
            "a batch that divides evenly",
            "change batch_size or the number of devices",
        )
    return per_device, share // per_device


def _deepspeed(stage: StageSettings) -> str | None:
    if stage.deepspeed_zero == 0:
        return None
    if "WORLD_SIZE" not in os.environ:
        raise InputError(
            f"stage '{stage.name}' with deepspeed_zero {stage.deepspeed_zero} and no launcher",
            "torchrun",
            "start it with torchrun, or set deepspeed_zero to 0",
        )
    return str(DEEPSPEED / f"zero{stage.deepspeed_zero}.json")


def _report_start(run: TrainRun, prepared: Prepared, examples: ExampleShards, steps: int) -> None:
    report(
        "start",
        stage=run.stage.name,
        examples=len(examples),
        steps=steps,
        parameters=parameters(prepared.model),
        trainable=parameters(prepared.model, trainable_only=True),
    )


def _loss_row(entry: Mapping[str, float]) -> dict[str, float]:
    return {key: entry[key] for key in ("step", "loss", "learning_rate", "grad_norm")}


def _validate(run: TrainRun, prepared: Prepared, side_px: int | None) -> float | None:
    if not run.validate_examples:
        return None
    examples = ExampleShards(run.validate_examples, side_px)
    return validate_loss(prepared.model, prepared.collate, examples, run.stage.batch_size)


def _write_output(
    run: TrainRun,
    prepared: Prepared,
    losses: Sequence[Mapping[str, float]],
    validate: float | None,
) -> None:
    run.output.mkdir(parents=True, exist_ok=True)
    trained = parameters(prepared.model, trainable_only=True)
    prepared.save(run.output)
    forget_places(run.output)
    lines = "".join(json.dumps(row) + "\n" for row in losses)
    (run.output / "losses.jsonl").write_text(lines)
    result: dict[str, object] = {
        "stage": run.stage.name,
        "kind": run.stage.kind,
        "steps": len(losses),
        "first_loss": losses[0]["loss"],
        "last_loss": losses[-1]["loss"],
        "validate_loss": validate,
        "trained_parameters": trained,
    }
    write_json(run.output / "result.json", result)
    report("done", **result)


if __name__ == "__main__":
    sys.exit(run_child(TrainRun, train))
