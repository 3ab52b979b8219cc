"""The losses of each kind of stage in the small world, kept as text in ``tests/golden/losses.txt``.

    python tests/golden_losses.py        write the file anew, from the repository's root

Do so after a change that is meant to change losses, and look at the difference before you keep it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from models_world import STAGES, stage, train_run, trained_world

from models.train import train

FILE = Path(__file__).parent / "golden" / "losses.txt"
HEADER = "# stage step loss; float32 on a CPU; written by tests/golden_losses.py\n"

WITHOUT_DROPOUT = {"finetune": {"lora": {"rank": 4, "alpha": 8, "dropout": 0.0}}}
"""What dropout leaves out depends on the processor's kind and on how examples are laid out."""


def losses_of_stage(name: str, folder: Path, **changes: object) -> list[float]:
    """Losses of a stage that starts from the small world's earlier stages."""
    world = trained_world()
    settings = stage(name, **{**WITHOUT_DROPOUT.get(name, {}), **changes})
    run = train_run(world, settings, output=folder / "output", resume=folder / "resume")
    assert train(run) == 0
    lines = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def golden() -> Iterator[tuple[str, int, float]]:
    """The file's rows: stage, step, loss."""
    for line in FILE.read_text().splitlines():
        if not line.startswith("#"):
            name, step, loss = line.split()
            yield name, int(step), float(loss)


def main() -> None:
    """Train and write the file."""
    rows = []
    for name in STAGES:
        with tempfile.TemporaryDirectory() as folder:
            losses = losses_of_stage(name, Path(folder))
        rows += [f"{name} {step} {loss:.6f}\n" for step, loss in enumerate(losses, start=1)]
    FILE.write_text(HEADER + "".join(rows))


if __name__ == "__main__":
    main()
