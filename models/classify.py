"""``python -m models.classify run.json``: train the classifier of findings on real films.

Seeded; the weights that are best on the validate films are kept. It is short enough that a
killed one starts anew. Shapes: N films, P side in px, T targets.
"""

from __future__ import annotations

import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn import functional

from infra.child import report, run_child, write_json
from infra.errors import InputError
from infra.film_runs import ClassifyRun
from models.films import all_films
from models.finding_classifier import FindingClassifier, as_levels, save_classifier

SHIFT_PX = 3
GAIN = 0.15
NOISE = 0.05
"""What training films are changed by (our choice): moved by up to so many px, their contrast and
brightness by up to so much of the range, and noised, so that a drawn film's texture alone does not
decide. They are never mirrored: left and right are targets."""


@dataclass(frozen=True)
class Labelled:
    """uint8 [N, P, P], and [N, T] of 1, 0 and not a number where a text does not say."""

    films: Tensor
    targets: Tensor


def classify(run: ClassifyRun) -> int:
    """Train, keep the best, and write; returns the exit code."""
    started = time.monotonic()
    train, validate = read_labelled(run)
    device = torch.device("cuda" if run.device == "auto" and torch.cuda.is_available() else "cpu")
    model, losses, best = fit(run, train, validate, device)
    save_classifier(model.cpu(), run.output)
    result: dict[str, object] = {
        "films": len(train.films),
        "best_step": best,
        "validate_loss": losses[best],
        "validate_losses": {str(step): loss for step, loss in losses.items()},
    }
    write_json(run.output / "result.json", result)
    report("done", seconds=round(time.monotonic() - started, 1), best_step=best)
    return 0


def read_labelled(run: ClassifyRun) -> tuple[Labelled, Labelled]:
    """Training and validate films with their labels.

    Raises:
        InputError: a film has no label, or labels are of another number of targets.
    """
    rows = pq.read_table(run.labels)
    told = dict(zip(rows["film_id"].to_pylist(), rows["targets"].to_pylist(), strict=True))
    return _labelled(run, run.train_films, told), _labelled(run, run.validate_films, told)


def _labelled(run: ClassifyRun, files: tuple[Path, ...], told: dict[str, list[float]]) -> Labelled:
    ids, films = all_films(files, run.side_px)
    lacking = [name for name in ids if name not in told]
    widths = {len(told[name]) for name in ids if name in told}
    if lacking or widths != {len(run.targets)}:
        raise InputError(
            f"{len(lacking)} of {len(ids)} films without labels, of {sorted(widths)} targets",
            f"{len(run.targets)} targets for every film",
            "label the same shards",
        )
    targets = np.array([told[name] for name in ids], dtype=np.float32)  # null becomes nan
    return Labelled(films, torch.from_numpy(targets))


def fit(
    run: ClassifyRun, train: Labelled, validate: Labelled, device: torch.device
) -> tuple[FindingClassifier, dict[int, float], int]:
    """The model at its best step, the validate losses by step, and that step."""
    random = torch.Generator().manual_seed(run.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        model = FindingClassifier(run.targets, run.side_px, run.width).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=run.learning_rate, weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, run.steps)
    losses: dict[int, float] = {}
    kept = copy.deepcopy(model.state_dict())
    for step in range(1, run.steps + 1):
        rows = torch.randint(len(train.films), (run.batch_size,), generator=random)
        levels = varied(as_levels(train.films[rows]), random)
        loss = masked_loss(model(levels.to(device)), train.targets[rows].to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % run.validate_steps == 0 or step == run.steps:
            losses[step] = _validate(model, validate, device)
            report("progress", step=step, steps=run.steps, validate_loss=losses[step])
            if losses[step] == min(losses.values()):
                kept = copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return model.eval(), losses, min(losses, key=lambda step: losses[step])


def masked_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy over what is known, the mean over [B, T]; 0 where nothing is."""
    known = ~torch.isnan(targets)
    each = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(targets), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def varied(levels: Tensor, random: torch.Generator) -> Tensor:
    """The batch [B, P, P], moved together, each film with its own contrast and brightness."""
    count = len(levels)
    down, right = torch.randint(-SHIFT_PX, SHIFT_PX + 1, (2,), generator=random).tolist()
    gain, offset = (GAIN * (2 * torch.rand(2, count, 1, 1, generator=random) - 1)).unbind()
    noise = NOISE * torch.randn(levels.shape, generator=random)
    return torch.roll(levels, (down, right), dims=(1, 2)) * (1 + gain) + offset + noise


@torch.inference_mode()
def _validate(model: FindingClassifier, held: Labelled, device: torch.device) -> float:
    parts = (held.films[start : start + 256] for start in range(0, len(held.films), 256))
    logits = [model(as_levels(part).to(device)).cpu() for part in parts]
    return float(masked_loss(torch.cat(logits), held.targets))


if __name__ == "__main__":
    sys.exit(run_child(ClassifyRun, classify))
