"""How fast a stage trains, and on what: useful tokens/s, MFU, waiting for data, peak memory.

The clock of a step runs from asking for its batch until its loss is known, which on a GPU waits for
all of its work; checkpoints and looks at validate are outside. The first step of a process is left
out where there are others: kernels are chosen and memory is claimed in it.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from infra.bars import FIGURES, Method, Setting, hold, load_bars
from infra.log import LOGGER
from infra.runs import TrainRun
from models.flops import (
    Network,
    batch_flops,
    device_name,
    lengths_of,
    networks_of,
    peak_flops,
)
from models.packing import Batch
from models.ranks import largest_over_ranks, rank_and_ranks, sum_over_ranks
from models.vlm import parameters

GIB = 2**30


@dataclass
class Counts:
    """What some steps of this rank took and did; seconds by the wall."""

    steps: int = 0
    seconds: float = 0.0
    waited_seconds: float = 0.0
    tokens: float = 0.0
    examples: float = 0.0
    images: float = 0.0
    flops: float = 0.0

    def add(self, other: Counts) -> None:
        """Sum in place."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Pace:
    """A stage's speed over ``steps`` measured steps of all ``devices`` together.

    ``mfu`` is None where ``mfu_unavailable`` says why. ``peak_memory_gib`` is the largest of a
    rank: what PyTorch held on the GPU, or the whole process's resident memory on a CPU.
    """

    device: str
    devices: int
    steps: int
    useful_tokens_per_second: float
    examples_per_second: float
    images_per_second: float
    mfu: float | None
    mfu_unavailable: str | None
    data_wait_share: float
    peak_memory_gib: float
    peak_memory_of: str

    def figures(self) -> dict[str, float]:
        """The numbers alone, rounded for an event."""
        numbers = {name: getattr(self, name) for name in FIGURES}
        return {name: float(f"{value:.5g}") for name, value in numbers.items() if value is not None}


@dataclass
class Meter:
    """Counts the steps of one rank.

    Args:
        networks: the model's parts.
        patches: tokens of an image; the vision tower sees one more.
        contrastive: whether image and text pass towers of their own, so that the tokens of both
            count; elsewhere an image's tokens are in the text.
        parameters: of the whole model, before any of it lies on other ranks.
        device: name, and ``peak`` its operations per second, None where unknown.
    """

    networks: list[Network]
    patches: int
    contrastive: bool
    parameters: int
    device: str
    peak: float | None
    clock: Callable[[], float] = time.perf_counter
    first: Counts = field(default_factory=Counts)
    later: Counts = field(default_factory=Counts)
    _step: Counts = field(default_factory=Counts)
    _began: float | None = None

    @classmethod
    def of(cls, run: TrainRun, model: torch.nn.Module, *, on_gpu: bool) -> Meter:
        """The meter of a stage that is ready to train, on this rank's device."""
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        device = device_name(on_gpu)
        return cls(
            networks_of(model),
            run.models.vision.patches,
            run.stage.kind == "pretrain",
            parameters(model),
            device,
            peak_flops(device, float32=run.stage.precision == "float32"),
        )

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; the time that each is waited for is counted, and what it holds."""
        while True:
            asked = self.clock()
            batch = next(batches, None)
            if batch is None:
                return
            if self._began is None:
                self._began = asked
            self._step.add(self._counted(batch, self.clock() - asked))
            yield batch

    def _counted(self, batch: Batch, waited: float) -> Counts:
        lengths = lengths_of(batch, self.patches)
        images = len(lengths.get("image", ()))
        tokens = sum(lengths["text"]) + (sum(lengths["image"]) if self.contrastive else 0)
        flops = batch_flops(self.networks, lengths)
        return Counts(0, 0.0, waited, tokens, len(lengths["text"]), images, flops)

    def end_step(self) -> None:
        """The step's loss is known."""
        if self._began is None:
            return
        self._step.steps, self._step.seconds = 1, self.clock() - self._began
        (self.later if self.first.steps else self.first).add(self._step)
        self._step, self._began = Counts(), None

    def so_far(self) -> Pace | None:
        """This rank's pace times the number of ranks, which do as much; None before any step."""
        ranks = rank_and_ranks()[1]
        counts = self._counts()
        if not counts.seconds:
            return None
        work = (counts.tokens, counts.examples, counts.images, counts.flops)
        totals = tuple(ranks * each for each in work)
        return self._pace(counts, ranks, totals, counts.seconds, _peak_memory_gib(self.device))

    def of_all_ranks(self) -> Pace | None:
        """The pace of all ranks together, by the slowest one's clock; all call."""
        counts = self._counts()
        work = (counts.tokens, counts.examples, counts.images, counts.flops)
        totals = sum_over_ranks(work)
        waited = counts.waited_seconds / counts.seconds if counts.seconds else 0.0
        own = (counts.seconds, waited, _peak_memory_gib(self.device))
        seconds, waited, memory = largest_over_ranks(own)
        if not seconds:
            return None
        slowest = Counts(counts.steps, seconds, waited * seconds)
        return self._pace(slowest, rank_and_ranks()[1], totals, seconds, memory)

    def _counts(self) -> Counts:
        return self.later if self.later.steps else self.first

    def _pace(
        self,
        counts: Counts,
        devices: int,
        totals: tuple[float, ...],
        seconds: float,
        memory_gib: float,
    ) -> Pace:
        tokens, examples, images, flops = (total / seconds for total in totals)
        why = None if self.peak else f"the peak of '{self.device}' is not known"
        return Pace(
            device=self.device,
            devices=devices,
            steps=counts.steps,
            useful_tokens_per_second=tokens,
            examples_per_second=examples,
            images_per_second=images,
            mfu=flops / (devices * self.peak) if self.peak else None,
            mfu_unavailable=why,
            data_wait_share=counts.waited_seconds / seconds,
            peak_memory_gib=memory_gib,
            peak_memory_of="process" if self.device == "CPU" else "device",
        )


def _peak_memory_gib(device: str) -> float:
    """On a CPU the process's peak of resident memory (Linux counts it in KiB)."""
    if device == "CPU":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return torch.cuda.max_memory_allocated() / GIB


def told(pace: Pace | None, run: TrainRun, meter: Meter) -> dict[str, Any] | None:
    """The pace as JSON values, with its verdict against the stored bars; a missed one is warned of.

    Bars are for one device, so the tokens of one are held. None where a resumed stage had no step
    left.
    """
    if pace is None:
        return None
    method: Method = "lora" if run.stage.lora is not None else "whole"
    stage = run.stage
    side_px = (run.models.drawing if stage.draws else run.models.vision).image_px
    precision = "nf4" if stage.quantize == "nf4" else stage.precision
    setting = Setting(pace.device, stage.kind, method, meter.parameters, side_px, precision)
    figures: Mapping[str, float | None] = {
        **{name: getattr(pace, name) for name in FIGURES},
        "useful_tokens_per_second": pace.useful_tokens_per_second / pace.devices,
    }
    verdict = hold(figures, setting, load_bars())
    for name in verdict.missed:
        LOGGER.warning("stage %s: %s %s", run.stage.name, name, verdict.held[name])
    return {**asdict(pace), **pace.figures(), "bar": asdict(verdict)}
