"""Speed of whole models on one GPU, with random weights: training steps, generation, contrastive.

Training is the stage's own: its trainer, its types, its loop, films read from a shard. Only weights
are drawn in place, and nothing is written. The same functions run on a CPU at toy sizes
(``tests/test_gpu_measures.py``), so that they are whole when a GPU is there.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageFilter
import pyarrow.parquet as pq
import torch
from transformers import LlavaForConditionalGeneration
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from infra.bars import Method, Precision, Setting, Verdict, hold, load_bars
from infra.runs import TrainRun
from infra.settings.environment import Environment
from infra.settings.stages import LoraSettings, StageKind, StageSettings
from models.collate import PairCollator
from models.data import Sample
from models.decoding import Decoder, Request
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.packing import attend_within_examples
from models.projector import projector_of
from models.stages import Prepared, trainable_in_float32
from models.throughput import Pace
from models.tokenizers import train_text_tokenizer
from models.train import stage_training
from models.trainer import StageTrainer
from models.vlm import parameters, with_lora
from models.weights import cast_parameters
from sources.example import Example, ExampleImage, Task, examples_to_table
from sources.record import Origin, Split, View
from tests.bench.generation_world import (
    END,
    GREEDY,
    Shape,
    Traffic,
    ask_generate,
    build_model,
    draw_requests,
)
from tests.bench.training_sides import World

LORA = LoraSettings(rank=64, alpha=128, dropout=0.05)  # the paper's
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NEVER_ENDING = replace(GREEDY, never=(END,))
"""Every answer as long as its request says: random weights may choose the end at any step."""


@dataclass(frozen=True)
class Trained:
    """A measured training: its pace, the losses of all steps, parameters and their types."""

    pace: Pace
    losses: tuple[float, ...]
    parameters: int
    trained_parameters: int
    trained_types: frozenset[torch.dtype]
    frozen_types: frozenset[torch.dtype]


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def verdict_of(
    found: Trained,
    kind: StageKind,
    method: Method,
    image_px: int,
) -> Verdict:
    """The figures held against the stored bars of this device."""
    precision: Precision = "bfloat16" if torch.bfloat16 in found.frozen_types else "float32"
    setting = Setting(found.pace.device, kind, method, found.parameters, image_px, precision)
    figures = {**found.pace.figures(), "mfu": found.pace.mfu}
    return hold(figures, setting, load_bars())


class Steps(StageTrainer):
    """Takes the stage's steps and writes nothing: a checkpoint of 7B in float32 is 81 GB."""

    def evaluate(self, *_args: Any, **_kwargs: Any) -> dict[str, float]:
        self.control.should_evaluate = False
        return {}

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        del model, trial
        self.control.should_save = False


def lora_steps(world: World, stage: StageSettings) -> Trained:
    """Finetune steps: LoRA and projector in float32, the rest frozen, packed rows."""
    vlm = build_vlm(world, stage)
    model = with_lora(vlm, LORA, with_projector=True)
    vlm.model.vision_tower.requires_grad_(False)
    return _train_vlm(world, model, vlm, stage)


def full_steps(world: World, stage: StageSettings) -> Trained:
    """Steps that train language model and projector whole, their weights and Adam in float32."""
    vlm = build_vlm(world, stage)
    vlm.requires_grad_(False)
    for part in (vlm.model.language_model, vlm.lm_head, projector_of(vlm)):
        part.requires_grad_(True)
    return _train_vlm(world, vlm, vlm, stage)


def build_vlm(world: World, stage: StageSettings) -> LlavaForConditionalGeneration:
    """The VLM of the world's shapes with random weights, made on its device in the frozen type."""
    torch.set_default_dtype(TYPES[stage.precision])
    try:
        with device():
            return world.fresh()
    finally:
        torch.set_default_dtype(torch.float32)


def _train_vlm(
    world: World,
    model: torch.nn.Module,
    vlm: LlavaForConditionalGeneration,
    stage: StageSettings,
) -> Trained:
    trainable_in_float32(model)
    attend_within_examples(vlm)
    return _train(world, Prepared(model, world.collator(packing=True), _write_nothing), stage)


def contrastive_steps(world: World, stage: StageSettings) -> Trained:
    """Pretraining steps, cut on the device where the stage says so."""
    shapes = world.shapes
    tokenizer = train_text_tokenizer((each.target for each in world.samples), shapes.text_encoder)
    with device():
        model = CxrDualEncoder(dual_encoder_config(shapes, shapes.text_encoder.vocabulary))
    collate = PairCollator(tokenizer, shapes.text_encoder.context_tokens)
    return _train(world, Prepared(model, collate, _write_nothing), stage)


def _train(world: World, prepared: Prepared, stage: StageSettings) -> Trained:
    set_verbosity_error()
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        run = TrainRun(
            stage=stage,
            models=world.shapes,
            train_examples=(write_shard(world.samples, Path(place)),),
            output=Path(place) / "model",
            resume=Path(place) / "resume",
            workers=Environment().loader_workers_per_rank,
        )
        training = stage_training(run, prepared, Steps)
        training.trainer.train()
    pace = training.callback.pace
    assert pace is not None, "no step was measured"
    losses = (entry["loss"] for entry in training.trainer.state.log_history if "loss" in entry)
    types = {
        learns: frozenset(
            each.dtype for each in prepared.model.parameters() if each.requires_grad is learns
        )
        for learns in (True, False)
    }
    return Trained(
        pace,
        tuple(losses),
        training.meter.parameters,
        parameters(prepared.model, trainable_only=True),
        types[True],
        types[False],
    )


def _write_nothing(folder: Path) -> None:
    raise AssertionError(f"a measured stage has no output, not even {folder}")


def write_shard(samples: Sequence[Sample], folder: Path) -> Path:
    """The samples as the examples step stores them: JPEGs, about as large as a film's."""
    path = folder / "train.parquet"
    pq.write_table(examples_to_table([_example(each) for each in samples]), path, row_group_size=16)
    return path


def _example(sample: Sample) -> Example:
    assert sample.pixels is not None
    film = PIL.Image.fromarray(sample.pixels[0]).filter(PIL.ImageFilter.GaussianBlur(2))
    with io.BytesIO() as sink:
        film.save(sink, "JPEG", quality=95)
        image = ExampleImage(sample.study_id, View.PA, sink.getvalue(), film.width, film.height)
    return Example(
        example_id=sample.example_id,
        task=Task.FINDINGS,
        source=sample.source,
        study_id=sample.study_id,
        subject_id=sample.subject_id,
        split=Split.TRAIN,
        text_version="keep",
        origin=Origin.RADIOLOGIST,
        images=(image,),
        indication=sample.indication,
        turns=sample.turns,
        target=sample.target,
    )


@dataclass(frozen=True)
class Generated:
    """New tokens a second of ours and of Hugging Face's padded ``generate`` for the same prompts;
    in half precision a near tie may end otherwise, so equal rows are counted."""

    ours: float
    theirs: float
    tokens: int
    equal_rows: int
    rows: int


def generation(shape: Shape, traffic: Traffic, batch_size: int, dtype: torch.dtype) -> Generated:
    """Greedy generation in batches of that size; every answer is as long as its request says."""
    model = build_model(shape)
    cast_parameters(model, dtype)
    model.to(device())
    requests = draw_requests(shape, traffic)
    decoder = Decoder(model, NEVER_ENDING, batch_size)
    ours, own_seconds = timed(lambda: _decoded(decoder, requests))
    theirs, their_seconds = timed(lambda: _generated(model, requests, batch_size))
    tokens = sum(map(len, ours))
    equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
    return Generated(tokens / own_seconds, tokens / their_seconds, tokens, equal, len(requests))


def _decoded(decoder: Decoder, requests: Sequence[Request]) -> list[tuple[int, ...]]:
    answers = [answer for some in decoder.run(requests) for answer in some]
    found = {answer.number: tuple(answer.ids) for answer in answers}
    return [found[number] for number in range(len(requests))]


def _generated(
    model: LlavaForConditionalGeneration, requests: Sequence[Request], batch_size: int
) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for start in range(0, len(requests), batch_size):
        found += ask_generate(model, requests[start : start + batch_size], NEVER_ENDING)
    return found


def timed(work: Callable[[], list[tuple[int, ...]]]) -> tuple[list[tuple[int, ...]], float]:
    """What the work gives and the seconds it took, the device's included; run once before."""
    work()
    _wait()
    started = time.perf_counter()
    found = work()
    _wait()
    return found, time.perf_counter() - started


def _wait() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()
