"""``python -m models.train run.json``: train one stage, resuming where a killed run stopped.

Leaves in the output folder the model in Hugging Face's layout, ``losses.jsonl`` and, last,
``result.json``. Exit codes: 0 done, 2 bad input, 1 failed, 143 stopped after a checkpoint, by
SIGTERM or because it was asked to (``infra.stopping``).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import TrainingArguments, set_seed
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.trainer_callback import PrinterCallback
from transformers.utils import is_torch_tf32_available
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from infra.child import STOPPED_BY_SIGTERM, report, run_child, write_json
from infra.errors import InputError
from infra.log import LOGGER
from infra.runs import TrainRun
from infra.settings.stages import StageSettings
from infra.stopping import held_by_trainer
from models.canvas import Canvas
from models.collate import ConversationCollator
from models.data import ExampleShards, TrainingOrder
from models.histories import Histories
from models.kept import Kept
from models.loading import BatchReader
from models.mixture import MixedOrder, parts_of
from models.named_state import load_weights
from models.portable import forget_places
from models.ranks import part_ranks
from models.ready import take_ready
from models.sealed import checkpoint_of_all_ranks
from models.stages import Prepared, prepare
from models.temperature import TemperatureClip
from models.throughput import Meter, told
from models.trainer import StageCallback, StageTrainer
from models.validate import Validation
from models.vlm import parameters
from sources.selection import selection_of

LOSS_COLUMNS = ("step", "loss", "learning_rate", "grad_norm")
DEEPSPEED = Path(__file__).parent.parent / "infra" / "deepspeed"


def train(run: TrainRun) -> int:
    """Train the stage and write its output; returns the exit code."""
    set_verbosity_error()
    disable_progress_bar()
    if run.stage.weights:
        take_ready(run)
        return 0
    require_one_gpu_or_launcher(_on_gpu(run))
    # The first rank for all: what a trainer before it still writes must not be written twice.
    first = os.environ.get("RANK", "0") == "0"
    with held_by_trainer(run.resume.parent) if first else nullcontext():
        return _train(run, _prepared(run))


def _train(run: TrainRun, prepared: Prepared) -> int:
    training = stage_training(run, prepared)
    trainer, callback = training.trainer, training.callback
    trained = parameters(prepared.model, trainable_only=True)
    examples = len(trainer.order.data)
    _report_start(run, prepared, examples, trainer.args.max_steps)
    callback.stop_at_sigterm()
    if callback.is_asked_to_leave():  # while the model was loaded
        part_ranks()
        return STOPPED_BY_SIGTERM
    checkpoint = checkpoint_of_all_ranks(run.resume)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if not callback.terminated and trainer.kept is None:
        _keep_the_last(run, trainer)
    if not callback.terminated and trainer.is_world_process_zero():
        assert trainer.kept is not None, "the last step keeps its weights or better ones"
        pace = told(callback.pace, run, training.meter)
        done = Done(trainer.state.log_history, trainer.kept, trained, examples, pace)
        _write_output(run, prepared, done)
    part_ranks()
    return STOPPED_BY_SIGTERM if callback.terminated else 0


@dataclass(frozen=True)
class Training:
    """A stage whose next step can be taken."""

    trainer: StageTrainer
    callback: StageCallback
    meter: Meter


def stage_training(
    run: TrainRun, prepared: Prepared, kind: Callable[..., StageTrainer] | None = None
) -> Training:
    """The trainer of a stage, with its examples in their order and its settings; of the stage's own
    kind, if none is given."""
    shown = prepared.canvas or Canvas.of(run.models.vision)
    canvas = shown if prepared.with_pixels else None
    chosen = selection_of(run.stage)
    examples = ExampleShards(run.train_examples, canvas, chosen, run.plain_request)
    steps = total_steps(run.stage, len(examples))
    validation = _validation(run, prepared, canvas)
    arguments = training_arguments(run, steps)
    meter = prepared.meter.of(run, prepared.model, on_gpu=not arguments.use_cpu)
    callback = StageCallback(run.stage, meter, run.resume.parent, validates=validation is not None)
    contrastive = run.stage.kind == "pretrain"
    trainer = (kind or prepared.trainer)(
        model=prepared.model,
        args=arguments,
        data_collator=BatchReader(with_histories(run, examples, prepared), prepared.collate),
        train_dataset=range(len(examples)),
        callbacks=[callback, TemperatureClip()] if contrastive else [callback],
        order=training_order(run, examples, steps),
        watch=callback.watch,
        meter=meter,
        validation=validation,
        apart=run.stage.deepspeed_zero == 3,
        contrastive_piece=run.stage.device_batch_size if contrastive else None,
    )
    trainer.remove_callback(PrinterCallback)
    return Training(trainer, callback, meter)


def _keep_the_last(run: TrainRun, trainer: StageTrainer) -> None:
    """A stage resumed after its last step finds its kept weights damaged; all ranks call."""
    LOGGER.warning(
        "stage %s: no weights that it kept are whole; those of its last checkpoint are kept",
        run.stage.name,
    )
    trainer.evaluate()


def require_one_gpu_or_launcher(on_gpu: bool) -> None:
    """Refuse several GPUs in one process: the trainer would spread each batch over all of them, and
    so train on that many times the stage's batch.

    Raises:
        InputError: there are several and no launcher has started one process for each.
    """
    found = torch.cuda.device_count() if on_gpu else 0
    if found > 1 and "WORLD_SIZE" not in os.environ:
        raise InputError(
            f"{found} GPUs and one training process",
            "one process for each GPU",
            f"set CXR_PROCESSES_PER_NODE={found}, or show one GPU with CUDA_VISIBLE_DEVICES=0",
        )


def _prepared(run: TrainRun) -> Prepared:
    """The stage's model, the same each time it is asked for."""
    set_seed(run.stage.seed)
    chosen = selection_of(run.stage)
    return prepare(run, lambda: ExampleShards(run.train_examples, None, chosen, run.plain_request))


def training_order(
    run: TrainRun, examples: ExampleShards, steps: int
) -> TrainingOrder | MixedOrder:
    """The order of the stage's examples over all its steps."""
    stage, size = run.stage, run.stage.batch_size
    if len(run.set_files) > 1:
        parts = parts_of(examples, run.set_files)
        return MixedOrder(examples, parts, stage.examples, steps * size, stage.seed)
    one_source = size if stage.batches == "one-source" else 0
    like_length = size if stage.batches == "like-length" else 0
    return TrainingOrder(examples, steps * size, stage.seed, one_source, like_length)


def with_histories(
    run: TrainRun, examples: ExampleShards, prepared: Prepared
) -> ExampleShards | Histories:
    """The examples as the stage is shown them: some requests behind others, if it asks for it."""
    stage, collate = run.stage, prepared.collate
    if not stage.history:
        return examples
    assert isinstance(collate, ConversationCollator), "settings give others no history"
    parts = parts_of(examples, run.set_files or {"": len(run.train_examples)})
    shown = {name: groups for name, groups in parts.items() if groups}
    return Histories(examples, shown, stage.history, stage.seed, collate.fits)


def total_steps(stage: StageSettings, rows: int) -> int:
    """Optimizer steps of a stage; the last batch of an epoch may borrow from the next."""
    if stage.steps is not None:
        return stage.steps
    assert stage.epochs is not None
    return max(1, -(-round(rows * stage.epochs) // stage.batch_size))


def _on_gpu(run: TrainRun) -> bool:
    return torch.cuda.is_available() and run.device != "cpu"


def training_arguments(run: TrainRun, steps: int) -> TrainingArguments:
    """The stage's settings in Hugging Face's words; the global batch is spread over the devices.

    Raises:
        InputError: the batch does not divide, or DeepSpeed runs without its launcher.
    """
    stage = run.stage
    on_gpu = _on_gpu(run)
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
        # one kernel for all: a tenth of a small stage's step; DeepSpeed cuts parameters up first
        optim="adamw_torch" if stage.deepspeed_zero else "adamw_torch_fused",
        bf16=stage.precision == "bfloat16",
        tf32=True if on_gpu and is_torch_tf32_available() else None,
        use_cpu=not on_gpu,
        activation_checkpointing=stage.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        deepspeed=_deepspeed(stage),
        ddp_find_unused_parameters=False,
        seed=stage.seed,
        save_strategy="steps",
        save_steps=stage.save_steps,
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


def _report_start(run: TrainRun, prepared: Prepared, examples: int, steps: int) -> None:
    report(
        "start",
        stage=run.stage.name,
        examples=examples,
        steps=steps,
        parameters=parameters(prepared.model),
        trainable=parameters(prepared.model, trainable_only=True),
    )


def _validation(run: TrainRun, prepared: Prepared, canvas: Canvas | None) -> Validation | None:
    if not run.validate_examples:
        return None
    examples = ExampleShards(run.validate_examples, canvas, plain_request=run.plain_request)
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    per_device, passes = spread_batch(run.stage, devices)
    whole = run.stage.kind == "pretrain"  # every pair of a batch is another's negative
    rows = per_device * passes if whole else per_device
    return Validation(prepared.collate, examples, run.stage.batch_size, rows)


@dataclass(frozen=True)
class Done:
    """What a finished stage leaves: its log, the kept weights, how many parameters were trained,
    on how many examples, and how fast."""

    history: Sequence[Mapping[str, float]]
    kept: Kept
    trained: int
    examples: int
    pace: Mapping[str, object] | None


def _write_output(run: TrainRun, prepared: Prepared, done: Done) -> None:
    """Save the stage's model with the kept weights, its losses, and what it was."""
    run.output.mkdir(parents=True, exist_ok=True)
    whole, kept = _whole_again(run, prepared), done.kept
    load_weights(whole.model, kept.weights)
    whole.save(run.output)
    forget_places(run.output)
    losses = [entry for entry in done.history if "loss" in entry]
    rows = [{key: each[key] for key in LOSS_COLUMNS} for each in losses]
    (run.output / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    validated = [entry for entry in done.history if "validate_loss" in entry]
    result: dict[str, object] = {
        "stage": run.stage.name,
        "kind": run.stage.kind,
        "examples": done.examples,
        "steps": len(losses),
        "first_loss": losses[0]["loss"],
        "last_loss": losses[-1]["loss"],
        "kept": "last" if kept.validate_loss is None else "best on validate",
        "kept_step": kept.step,
        "validate_loss": kept.validate_loss,
        "validate_losses": [[each["step"], each["validate_loss"]] for each in validated],
        "trained_parameters": done.trained,
    }
    write_json(run.output / "result.json", result)
    report("done", **result, throughput=done.pace)


def _whole_again(run: TrainRun, prepared: Prepared) -> Prepared:
    """The stage's model as it was before DeepSpeed rounded it or spread it over the ranks.

    It is made once more from its inputs: what was trained comes from a file, in float32.
    """
    if run.stage.deepspeed_zero == 0:
        return prepared
    unset_hf_deepspeed_config()  # or transformers would spread this one over the ranks too
    return _prepared(run)


if __name__ == "__main__":
    sys.exit(run_child(TrainRun, train))
