"""What the children that read films are told, and where the networks that read them lie.

Published weights are never downloaded: a network that is not here is named with what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from infra.fingerprint import stat_digest
from infra.runs import Device
from infra.settings.sections import Section

ExtractorKind = Literal["in-house", "xrv-densenet121", "rad-dino"]
PUBLISHED: Final[Mapping[ExtractorKind, tuple[str, tuple[str, ...]]]] = {
    "xrv-densenet121": ("torchxrayvision/densenet121-res224-all", ("model.safetensors",)),
    "rad-dino": (
        "microsoft/rad-dino",
        ("config.json", "model.safetensors", "preprocessor_config.json"),
    ),
}
"""By extractor its folder under CXR_WEIGHTS_ROOT, and the files that it needs there.
torchxrayvision's own file is a pickled module, which is not opened here: its ``state_dict`` is
saved as safetensors first (docs/image_quality.md)."""
CLASSIFIER: Final = "classifier"
"""The reader's name of a finding classifier's probabilities."""
CLASSIFIER_FEATURES: Final = "finding-classifier"
"""And of what it reads them off: an extractor that has learned to see findings."""


def find_extractors(
    root: Path | None,
) -> tuple[dict[ExtractorKind, Path], dict[ExtractorKind, str]]:
    """The published extractors whose files are here, and what the others need."""
    found: dict[ExtractorKind, Path] = {}
    missing: dict[ExtractorKind, str] = {}
    for kind, (name, files) in PUBLISHED.items():
        lacking = [file for file in files if root is None or not (root / name / file).is_file()]
        if root is None or lacking:
            missing[kind] = f"needs {', '.join(lacking)} in $CXR_WEIGHTS_ROOT/{name}"
        else:
            found[kind] = root / name
    return found, missing


def extractor_digests(root: Path | None) -> dict[str, str]:
    """Of each published extractor that is here, its files by name, size and time."""
    return {kind: stat_digest(folder, PUBLISHED[kind][1])
            for kind, folder in find_extractors(root)[0].items()}  # fmt: skip


class ClassifyRun(Section):
    """``python -m models.classify``: a small classifier of findings, trained on real films.

    Args:
        train_films, validate_films: shards of EXAMPLE_SCHEMA or FILM_SCHEMA.
        labels: LABEL_SCHEMA for all of these films, in the order of ``targets``.
        side_px: films are brought to this size, short side and middle.
        width: channels of the first of four layers.
        output: folder that gets ``config.json``, ``model.safetensors`` and, last, ``result.json``.
    """

    train_films: tuple[Path, ...] = Field(min_length=1)
    validate_films: tuple[Path, ...] = Field(min_length=1)
    labels: Path
    targets: tuple[str, ...] = Field(min_length=1)
    side_px: int = Field(default=64, ge=32, multiple_of=16)
    width: int = Field(default=24, ge=4, multiple_of=4)
    steps: int = Field(default=1200, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    validate_steps: int = Field(default=100, ge=1)
    seed: int = 0
    output: Path
    device: Device = "auto"


class ReadFilmsRun(Section):
    """``python -m models.read_films``: features and probabilities of films.

    Args:
        films: shards of EXAMPLE_SCHEMA or FILM_SCHEMA.
        extractors: by kind the folder of its weights; ``in-house`` is what a pretrain or finetune
            stage wrote.
        classifier: a folder that ``models.classify`` wrote, or None.
        output: folder that gets ``readings.parquet`` and, last, ``result.json``.
    """

    films: tuple[Path, ...] = Field(min_length=1)
    extractors: dict[ExtractorKind, Path] = Field(default_factory=dict)
    classifier: Path | None = None
    batch_size: int = Field(default=32, ge=1)
    output: Path
    device: Device = "auto"
