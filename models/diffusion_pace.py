"""How fast a stage of CXR-SD trains: films, latent places and prompt tokens, and MFU."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from infra.runs import TrainRun
from models.flops import device_name, peak_flops
from models.packing import Batch
from models.throughput import Counts, Meter
from models.vlm import parameters


class DiffusionMeter(Meter):
    """Counts steps of films; a token is one of a prompt's.

    ``example_flops`` is what one film costs, forward and backward, None until it is known.
    """

    example_flops: float | None = None

    @classmethod
    def of(cls, run: TrainRun, model: torch.nn.Module, *, on_gpu: bool) -> DiffusionMeter:
        """The meter of a stage that is ready to train, on this rank's device."""
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        device = device_name(on_gpu)
        peak = peak_flops(device, float32=run.stage.precision == "float32")
        return cls([], 0, False, parameters(model), device, peak).with_flops(model)

    def with_flops(self, model: torch.nn.Module) -> DiffusionMeter:
        """The same, told whose films it counts."""
        self._model = model
        return self

    def _counted(self, batch: Batch, waited: float) -> Counts:
        films = len(batch["films"])
        tokens = float(batch["attention_mask"].sum()) if "attention_mask" in batch else 0.0
        if self.example_flops is None:
            self.example_flops = flops_of_example(self._model, batch)
        return Counts(0, 0.0, waited, tokens, films, films, films * self.example_flops)


def flops_of_example(model: torch.nn.Module, batch: Batch) -> float:
    """Operations of one example, forward and backward, counted while it passes; nothing is learned
    from it."""
    trained = [each for each in model.parameters() if each.requires_grad]
    one = {name: each[:1].to(trained[0].device) for name, each in batch.items()}
    with FlopCounterMode(display=False) as counter:
        torch.autograd.grad(model(**one).loss, trained, allow_unused=True)
    return float(counter.get_total_flops())
