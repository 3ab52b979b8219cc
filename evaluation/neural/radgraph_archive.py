"""A RadGraph model's archive on disk: settings, label names, and tensors by our names.

The archive is AllenNLP's: ``config.json``, ``vocabulary/*.txt`` and ``weights.th``. Labels stand
one a line; of entities the first, empty one is "no entity", and has no row in the scorer. What is
not read off these files comes from radgraph 0.1.18 and DyGIE++: see ``radgraph_network``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.encoders import RADGRAPH_WEIGHTS
from evaluation.neural.weights import State, read_state
from infra.errors import InputError

_ADVICE = "unpack the published archive there"
_ENTITIES, _RELATIONS = "__ner_labels", "__relation_labels"
_UNUSED = ("_coref.", "_events.")
"""Modules that DyGIE++ always builds and RadGraph never trains or asks."""


@dataclass(frozen=True)
class ArchiveShape:
    """What ``config.json`` says of the network; widths of spans in words."""

    max_length: int | None
    max_span_width: int
    width_features: int
    hidden: tuple[int, ...]
    spans_per_word: float


@dataclass(frozen=True)
class Archive:
    """A read archive; ``entities`` and ``relations`` are label names in the order of the scorers'
    rows."""

    shape: ArchiveShape
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    state: State


def read_archive(folder: Path) -> Archive:
    """The archive in a folder.

    Raises:
        InputError: a file does not fit; nothing is guessed.
    """
    shape = _read_shape(folder)
    dataset, entities, relations = _read_labels(folder / "vocabulary")
    state = read_state(folder / RADGRAPH_WEIGHTS)
    return Archive(shape, entities, relations, _renamed(state, dataset))


def _read_shape(folder: Path) -> ArchiveShape:
    try:
        config = json.loads((folder / "config.json").read_text())
        model = config["model"]
        bert = model["embedder"]["token_embedders"]["bert"]
        layers = model["feedforward_params"]
        shape = ArchiveShape(
            max_length=bert.get("max_length"),
            max_span_width=int(model["max_span_width"]),
            width_features=int(model["feature_size"]),
            hidden=_sizes(layers["hidden_dims"], int(layers["num_layers"])),
            spans_per_word=float(model["modules"]["relation"]["spans_per_word"]),
        )
        _require_plain(model, bert)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"config.json of {folder.name}, which is no DyGIE++ model's ({type(error).__name__})",
            "model.embedder, max_span_width, feature_size, feedforward_params and modules",
            _ADVICE,
        ) from error
    return shape


def _require_plain(model: Mapping[str, Any], bert: Mapping[str, Any]) -> None:
    """Refuse options that RadGraph's models do not use and this port does not know."""
    weights, coref = model["loss_weights"], model["modules"].get("coref", {})
    alien = [name for name in ("coref", "events") if weights.get(name, 0)]
    alien += ["coref_prop"] if coref.get("coref_prop", 0) else []
    alien += ["last_layer_only"] if not bert.get("last_layer_only", True) else []
    if alien:
        raise InputError(
            f"a DyGIE++ model with {', '.join(alien)}", "entities and relations", _ADVICE
        )


def _sizes(hidden: int | list[int], layers: int) -> tuple[int, ...]:
    return (hidden,) * layers if isinstance(hidden, int) else tuple(int(size) for size in hidden)


def _read_labels(folder: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The data set's name, its entity labels without the empty one, its relation labels."""
    named = sorted(
        path.name.removesuffix(f"{_ENTITIES}.txt") for path in folder.glob(f"*{_ENTITIES}.txt")
    )
    if len(named) != 1:
        raise InputError(f"{len(named)} files *{_ENTITIES}.txt in the vocabulary", "one", _ADVICE)
    empty, *entities = _lines(folder / f"{named[0]}{_ENTITIES}.txt")
    if empty:
        raise InputError(
            f"entity labels that begin with '{empty}'", "an empty line: no entity", _ADVICE
        )
    return named[0], tuple(entities), tuple(_lines(folder / f"{named[0]}{_RELATIONS}.txt"))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"no {path.name} in the vocabulary", "its labels", _ADVICE) from error
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n")


def _renamed(state: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Tensors by ``RadgraphNetwork``'s names; unknown ones keep theirs, and loading tells them."""
    related = f"{dataset}{_RELATIONS}"
    pruner = f"_relation._mention_pruners.{related}._scorer."
    scorer = f"_ner._ner_scorers.{dataset}{_ENTITIES}."
    names = {
        "_embedder.token_embedder_bert._matched_embedder.transformer_model.": "encoder.",
        "_endpoint_span_extractor._span_width_embedding.": "widths.",
        f"{scorer}0._module._linear_layers.": "entity.layers.",
        f"{scorer}1._module.": "entity.score.",
        f"{pruner}0._module._linear_layers.": "mention.layers.",
        f"{pruner}1._module.": "mention.score.",
        f"_relation._relation_feedforwards.{related}._linear_layers.": "relation.layers.",
        f"_relation._relation_scorers.{related}.": "relation.score.",
    }
    return {
        _rename(key, names): tensor for key, tensor in state.items() if not key.startswith(_UNUSED)
    }


def _rename(key: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
