"""Which files each neural metric's encoder is read from, and what is missing where it cannot run.

    found, missing = find_encoders(settings.score.encoders, environment.weights_root)

Nothing is loaded here, so that whoever plans or shows scores needs no torch. Weights are published
under other terms than this package and never downloaded by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.fingerprint import fingerprint, stat_digest
from infra.settings.sections import EncoderSettings

CHEXBERT: Final = "CheXbert"
RADGRAPH: Final = "RadGraph-v1"
RADGRAPH_XL: Final = "RadGraph-xl"
BERTSCORE: Final = "BERTScore-distilbert"
RADCLIQ_BERTSCORE: Final = "BERTScore-distilroberta"
RATESCORE: Final = "RaTEScore"
ENCODERS: Final = (CHEXBERT, RADGRAPH, RADGRAPH_XL, BERTSCORE, RADCLIQ_BERTSCORE, RATESCORE)

CHEXBERT_FILE = "chexbert.pth"
RADGRAPH_WEIGHTS = "weights.th"

_MODEL: Final = (
    ("config.json",),
    ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"),
    ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "tokenizer.model"),
)
_TOKENIZER: Final = (_MODEL[0], _MODEL[2])
_ARCHIVE: Final = (("config.json",), (RADGRAPH_WEIGHTS,), ("vocabulary/non_padded_namespaces.txt",))
Files = tuple[tuple[str, ...], ...]
"""Needed files of a folder; of each inner tuple one is enough."""


@dataclass(frozen=True)
class Encoder:
    """An encoder that can be run: its folders by setting, and the files it is known by there."""

    folders: Mapping[str, Path]
    files: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """Digest of the files by name, size and time, wherever the folders lie."""
        return fingerprint(
            {name: stat_digest(self.folders[name], files) for name, files in self.files.items()}
        )


def find_encoders(
    settings: EncoderSettings, root: Path | None
) -> tuple[dict[str, Encoder], dict[str, str]]:
    """Encoders whose files are there, and for each other one what is missing and where it goes."""
    found: dict[str, Encoder] = {}
    missing: dict[str, str] = {}
    for name in ENCODERS:
        encoder = _look(list(_parts(name, settings, root)), root)
        if isinstance(encoder, str):
            missing[name] = encoder
        else:
            found[name] = encoder
    return found, missing


def place_of(root: Path | None, name: str) -> Path | None:
    """Where a folder of weights should be; None where no weights root is set."""
    if Path(name).is_absolute():
        return Path(name)
    return None if root is None else root / name


def radgraph_encoder(folder: Path) -> str | None:
    """Name of the encoder that a RadGraph archive was trained on, None where it names none.

    Its own folder gives the shape and the tokenizer; all weights are the archive's.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        return str(config["model"]["embedder"]["token_embedders"]["bert"]["model_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parts(
    name: str, settings: EncoderSettings, root: Path | None
) -> Iterator[tuple[str, str, Files]]:
    """(setting, folder's name, needed files) of all folders that an encoder reads."""
    if name == CHEXBERT:
        yield "chexbert", settings.chexbert, ((CHEXBERT_FILE,),)
        yield "chexbert_tokenizer", settings.chexbert_tokenizer, _TOKENIZER
    elif name in (RADGRAPH, RADGRAPH_XL):
        archive = settings.radgraph if name == RADGRAPH else settings.radgraph_xl
        yield "archive", archive, _ARCHIVE
        place = place_of(root, archive)
        encoder = radgraph_encoder(place) if place is not None else None
        if encoder is not None:
            yield "encoder", encoder, _TOKENIZER
    elif name == BERTSCORE:
        yield "model", settings.bertscore, _MODEL
    elif name == RADCLIQ_BERTSCORE:
        yield "model", settings.radcliq_bertscore, _MODEL
    elif name == RATESCORE:
        yield "entities", settings.rate_entities, _MODEL
        yield "embeddings", settings.rate_embeddings, _MODEL


def _look(parts: list[tuple[str, str, Files]], root: Path | None) -> Encoder | str:
    folders: dict[str, Path] = {}
    files: dict[str, tuple[str, ...]] = {}
    lacking: list[str] = []
    for setting, name, needed in parts:
        place = place_of(root, name)
        there = [_present(place, alternatives) for alternatives in needed]
        absent = [one[0] for one, found in zip(needed, there, strict=True) if not found]
        if place is None or absent:
            lacking.append(f"{', '.join(absent)} in {shown_place(name)}")
        else:
            folders[setting] = place
            files[setting] = tuple(file for found in there for file in found)
    if lacking:
        return f"needs {' and '.join(lacking)}"
    return Encoder(folders, files)


def _present(place: Path | None, alternatives: tuple[str, ...]) -> list[str]:
    if place is None:
        return []
    return [file for file in alternatives if (place / file).is_file()]


def shown_place(name: str) -> str:
    """The folder as the recipe names it: what is told must not differ from place to place."""
    return name if Path(name).is_absolute() else f"$CXR_WEIGHTS_ROOT/{name}"
