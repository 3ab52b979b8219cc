"""Speed of whole models on one GPU, with random weights: training steps, generation, contrastive.

The same functions run on a CPU at toy sizes (``tests/test_gpu_measures.py``), so that they are
whole when a GPU is there. Shapes: B examples, T tokens of a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from transformers import LlavaForConditionalGeneration

from infra.settings.stages import LoraSettings, ModelSettings
from models.collate import ConversationCollator, normalise
from models.data import Sample
from models.decoding import Decoder, Request
from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.flops import device_name, networks_of, peak_flops
from models.objectives import contrastive_loss
from models.packing import Batch, attend_within_examples
from models.projector import projector_of
from models.stages import trainable_in_float32
from models.throughput import Meter, Pace
from models.vlm import parameters, with_lora
from models.weights import cast_parameters
from tests.bench.generation_world import (
    GREEDY,
    Shape,
    Traffic,
    ask_generate,
    build_model,
    draw_requests,
)
from tests.bench.training_sides import World

LORA = LoraSettings(rank=64, alpha=128, dropout=0.05)  # the paper's
WARM_UP = 2
"""Steps that are not counted: kernels are chosen and memory is claimed in them."""


@dataclass(frozen=True)
class Trained:
    """A measured training: its pace, and the losses of all steps."""

    pace: Pace
    losses: tuple[float, ...]
    trained_parameters: int


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_vlm(world: World, dtype: torch.dtype) -> LlavaForConditionalGeneration:
    """The VLM of the world's shapes with random weights, made on its device in that type."""
    torch.set_default_dtype(dtype)
    try:
        with device():
            return world.fresh()
    finally:
        torch.set_default_dtype(torch.float32)


def lora_steps(world: World, batch_size: int, steps: int, dtype: torch.dtype) -> Trained:
    """Finetune steps: LoRA and projector in float32, the rest frozen, packed rows."""
    vlm = build_vlm(world, dtype)
    model = with_lora(vlm, LORA, with_projector=True)
    vlm.model.vision_tower.requires_grad_(False)
    trainable_in_float32(model)
    return _train(world, model, vlm, batch_size, steps, dtype)


def full_steps(world: World, batch_size: int, steps: int, dtype: torch.dtype) -> Trained:
    """Steps that train language model and projector whole, all in one type."""
    vlm = build_vlm(world, dtype)
    vlm.requires_grad_(True)
    vlm.model.vision_tower.requires_grad_(False)
    projector_of(vlm).requires_grad_(True)
    return _train(world, vlm, vlm, batch_size, steps, dtype)


def _train(
    world: World,
    model: torch.nn.Module,
    vlm: LlavaForConditionalGeneration,
    batch_size: int,
    steps: int,
    dtype: torch.dtype,
) -> Trained:
    attend_within_examples(vlm)
    vlm.activation_checkpointing_enable({"use_reentrant": False})
    vlm.enable_input_require_grads()
    model.train()
    vlm.config.use_cache = False
    learned = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learned, 1e-5, weight_decay=0.0, fused=device().type == "cuda")
    meter, losses = _meter(world.shapes, model, dtype, contrastive=False), []
    collate = world.collator(packing=True)
    for batch in meter.waiting(_batches(world.samples, batch_size, steps, collate, dtype)):
        with torch.autocast(device().type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())  # waits for all of the step's work
        _end_step(meter, len(losses))
    pace = meter.so_far()
    assert pace is not None, "no step was measured"
    return Trained(pace, tuple(losses), parameters(model, trainable_only=True))


def contrastive_steps(
    shapes: ModelSettings, batch_size: int, steps: int, dtype: torch.dtype
) -> Trained:
    """Contrastive steps of random films and texts on one device; the loss in float32."""
    with device():
        model = CxrDualEncoder(dual_encoder_config(shapes, shapes.text_encoder.vocabulary))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=device().type == "cuda")
    meter, losses = _meter(shapes, model, dtype, contrastive=True), []
    for batch in meter.waiting(_pairs(shapes, batch_size, steps)):
        with torch.autocast(device().type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            images = model.embed_images(batch["pixel_values"])
            texts = model.embed_texts(batch["input_ids"], batch["attention_mask"])
        keys = torch.arange(batch_size, device=device())
        scale = model.logit_scale.exp()
        loss = contrastive_loss(images.float(), texts.float(), scale, keys, keys)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        _end_step(meter, len(losses))
    pace = meter.so_far()
    assert pace is not None, "no step was measured"
    return Trained(pace, tuple(losses), parameters(model, trainable_only=True))


def _meter(
    shapes: ModelSettings, model: torch.nn.Module, dtype: torch.dtype, *, contrastive: bool
) -> Meter:
    name = device_name(device().type == "cuda")
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return Meter(
        networks_of(model),
        shapes.image_tokens,
        contrastive,
        parameters(model),
        name,
        peak_flops(name, float32=dtype == torch.float32),
    )


def _end_step(meter: Meter, done: int) -> None:
    """Count the step; what came before the warm-up's end is thrown away."""
    meter.end_step()
    if done == WARM_UP:
        meter.first, meter.later = type(meter.first)(), type(meter.later)()


def _batches(
    samples: Sequence[Sample],
    batch_size: int,
    steps: int,
    collate: ConversationCollator,
    dtype: torch.dtype,
) -> Iterator[Batch]:
    """Batches on the device, made before they are asked for: data is not what is measured."""
    rows = cycle(samples)
    made = [collate(list(islice(rows, batch_size))) for _ in range(steps)]
    for batch in made:
        yield {
            name: each.to(device(), dtype if each.is_floating_point() else None)
            for name, each in batch.items()
        }


def _pairs(shapes: ModelSettings, batch_size: int, steps: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(0)
    side, tokens = shapes.vision.image_px, shapes.text_encoder.context_tokens
    for _ in range(steps):
        grey = torch.randint(0, 256, (batch_size, side, side), generator=generator)
        pixels = normalise([film.numpy().astype("uint8") for film in grey])
        ids = torch.randint(5, 200, (batch_size, tokens), generator=generator)
        batch = {"pixel_values": pixels, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        yield {name: each.to(device()) for name, each in batch.items()}


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
    """Greedy generation in batches of that size, each answer as long as its request says."""
    model = build_model(shape)
    cast_parameters(model, dtype)
    model.to(device())
    requests = draw_requests(shape, traffic)
    decoder = Decoder(model, GREEDY, batch_size)
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
        found += ask_generate(model, requests[start : start + batch_size])
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
