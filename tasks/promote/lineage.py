"""A registered version's artifacts: its scores, what it learned from, the weights it began with.

The version's tags name the receipt of its registration; from there on every artifact names its
inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from infra.artifact import Artifact, find_artifacts
from infra.errors import InputError
from infra.licences import Licence, Use, weight_licences
from infra.registry import Version
from infra.settings.abilities import AbilityKind
from infra.store import Store
from infra.tables import connect
from sources.catalog import get_source
from sources.record import Split
from tasks.one_set.fair_studies import Learned

RECEIPT_TAG: Final = "cxrflow.models."
SCALE_TAG: Final = "cxrflow.scale"
SYNTHETIC: Final = Licence("synthetic stand-in, drawn by this program", Use.COMMERCIAL)
UNLISTED: Final = "unknown licence"
_MADE_OF: Final = ("stages", "examples", "drawings", "dialogues", "reports", "studies", "images")
_IMAGES_FILE: Final = "images.parquet"


@dataclass(frozen=True)
class Model:
    """A registered version with the artifacts behind it; ``receipt`` is of kind ``models``."""

    version: Version
    receipt: Artifact

    @property
    def store(self) -> Store:
        return self.receipt.store

    @property
    def scale(self) -> str:
        return self.version.tags.get(SCALE_TAG, "")

    @cached_property
    def stage(self) -> Artifact:
        """The last stage, whose model was registered."""
        return input_of(self.receipt, "stages")

    @cached_property
    def scores(self) -> dict[str, Artifact]:
        """By ability its scores."""
        return {found.step.name: found for found in inputs_of(self.receipt, "scores")}

    @cached_property
    def made_of(self) -> dict[str, Artifact]:
        """By folder every artifact that the last stage was made of, itself among them."""
        waiting, found = [self.stage], dict[str, Artifact]()
        while waiting:
            artifact = waiting.pop()
            if artifact.folder not in found:
                found[artifact.folder] = artifact
                waiting += inputs_of(artifact, *_MADE_OF)
        return found

    def of_kind(self, kind: str) -> list[Artifact]:
        return [one for one in self.made_of.values() if one.step.kind == kind]

    @cached_property
    def learned_shards(self) -> tuple[Path, ...]:
        """Shards of training and validation of every set that any of its stages was trained on."""
        return tuple(
            path
            for split in (Split.TRAIN, Split.VALIDATE)
            for artifact in self.of_kind("examples")
            for path in shards(artifact, split)
        )

    @property
    def learned(self) -> Learned:
        """What it may not be asked about."""
        films = [path for artifact in self.of_kind("images") for path in films_of(artifact)]
        return Learned(self.version.uri, self.learned_shards, tuple(films), frozenset())

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Sources of which it was shown an example in training or validation."""
        if not self.learned_shards:
            return ()
        files = {"files": [str(path) for path in self.learned_shards]}
        query = "SELECT DISTINCT source FROM read_parquet($files) ORDER BY ALL"
        with connect() as connection:
            return tuple(row[0] for row in connection.execute(query, files).fetchall())

    @property
    def data_licences(self) -> dict[str, Licence]:
        """By source; a replica's is ours."""
        drawn = {
            key.partition("/")[2]
            for artifact in self.of_kind("studies")
            for key in artifact.step.inputs
            if key.startswith("replicas/")
        }
        return {name: SYNTHETIC if name in drawn else _card_licence(name) for name in self.sources}

    @property
    def weight_licences(self) -> dict[str, Licence]:
        """By name the published weights that any of its stages began with."""
        known = weight_licences()
        names = {
            name
            for artifact in self.of_kind("stages")
            for name in _weights(artifact.step.settings.get("models", {}))
        }
        return {name: known.get(name, Licence(UNLISTED, None)) for name in sorted(names)}


def find_model(store: Store, version: Version) -> Model:
    """The artifacts of a registered version.

    Raises:
        InputError: no data root of it is here, or cxrflow did not register it.
    """
    named = [(key, value) for key, value in version.tags.items() if key.startswith(RECEIPT_TAG)]
    if not named:
        raise InputError(
            f"{version.uri} without a tag {RECEIPT_TAG}*",
            "a model that cxrflow registered",
            "register one with 'cxr register'",
        )
    for _, fingerprint in named:
        for receipt in find_artifacts(store, "models", fingerprint):
            return Model(version, receipt)
    raise InputError(
        f"no models/…-{named[0][1]} under {store.root}",
        f"the data root that {version.uri} was made in",
        "name it with --data-root",
    )


def inputs_of(artifact: Artifact, *kinds: str) -> Iterator[Artifact]:
    """The inputs of those kinds.

    Raises:
        InputError: one is no longer under the data root.
    """
    for key, fingerprint in artifact.step.inputs.items():
        kind = key.partition("/")[0]
        if kind in kinds:
            found = find_artifacts(artifact.store, kind, fingerprint)
            if not found:
                raise InputError(
                    f"{artifact.folder} without its {key} under {artifact.store.root}",
                    "everything that a registered model was made of",
                    "run again what made it",
                )
            yield found[0]


def input_of(artifact: Artifact, kind: str) -> Artifact:
    """The first input of that kind.

    Raises:
        InputError: it has none.
    """
    for found in inputs_of(artifact, kind):
        return found
    raise InputError(f"{artifact.folder} without {kind}", "some among its inputs", "make it anew")


def shards(artifact: Artifact, split: Split) -> list[Path]:
    """Local paths of a split's shards."""
    return _files(artifact, f"{split}-", ".parquet")


def films_of(artifact: Artifact) -> list[Path]:
    """Local paths of stored images."""
    return _files(artifact, _IMAGES_FILE, "")


def _files(artifact: Artifact, beginning: str, ending: str) -> list[Path]:
    return [
        artifact.store.local(f"{piece.folder}/{file.name}", file.digest)
        for piece in artifact.pieces
        for file in piece.files
        if file.name.startswith(beginning) and file.name.endswith(ending)
    ]


def kind_of(scores: Artifact) -> AbilityKind:
    """Of which kind of ability scores are."""
    kind: AbilityKind = scores.step.settings.get("kind", "report")
    return kind


def _card_licence(name: str) -> Licence:
    card = get_source(name).card
    return Licence(card.licence, card.use)


def _weights(tree: Mapping[str, Any]) -> Iterator[str]:
    """Names of published weights in the settings of networks."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _weights(value)
        elif key == "weights" and isinstance(value, str) and value:
            yield value
