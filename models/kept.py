"""The weights that a stage keeps: the best on validate, or the last where nothing validates."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from infra.child import write_json
from models.checkpoint import TRAINABLE
from models.named_state import Tensors
from models.ranks import of_first_rank, rank_and_ranks
from models.sealed import seal, whole_folders

KEPT = "kept"
_FACTS = "kept.json"


@dataclass(frozen=True)
class Kept:
    """Trainable weights of one step and their loss on validate, None where there is no validate."""

    folder: Path
    step: int
    validate_loss: float | None

    @property
    def weights(self) -> Path:
        """The file of trainable weights, by parameter name."""
        return self.folder / TRAINABLE


def is_better(loss: float | None, kept: Kept | None) -> bool:
    """Whether weights with that loss take the place of those that are kept."""
    if loss is None or kept is None or kept.validate_loss is None:
        return True
    return loss < kept.validate_loss


def keep(root: Path, step: int, loss: float | None, weights: Tensors) -> None:
    """Write weights as those to keep, then remove what was kept before; the first rank calls."""
    folder = kept_at(root, step, loss).folder
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / TRAINABLE)
    write_json(folder / _FACTS, {"step": step, "validate_loss": loss})
    seal(folder)
    for other in root.glob(f"{KEPT}-*"):
        if other != folder:
            shutil.rmtree(other)


def kept_at(root: Path, step: int, loss: float | None) -> Kept:
    """What ``keep`` has written, without looking."""
    return Kept(root / f"{KEPT}-{step}", step, loss)


def kept_on_all_ranks(root: Path) -> Kept | None:
    """What the first rank finds kept, the same on all; all ranks call."""
    found = read_kept(root) if rank_and_ranks()[0] == 0 else None
    own_step, own_loss = (-1, None) if found is None else (found.step, found.validate_loss)
    step, loss = of_first_rank((own_step, math.nan if own_loss is None else own_loss))
    if step < 0:
        return None
    return kept_at(root, int(step), None if math.isnan(loss) else loss)


def read_kept(root: Path) -> Kept | None:
    """What a stage has kept so far, also before it was killed; torn ones do not count."""
    best: Kept | None = None
    for folder in whole_folders(root, KEPT).values():
        facts = json.loads((folder / _FACTS).read_text())
        found = Kept(folder, facts["step"], facts["validate_loss"])
        if is_better(found.validate_loss, best):
            best = found
    return best
