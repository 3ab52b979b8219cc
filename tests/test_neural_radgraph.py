"""RadGraph's network on archives of the published layout, beside an independent forward."""

from __future__ import annotations

import json
import math
from pathlib import Path

import plain_networks
import pytest
import torch
from neural_world import (
    ENTITIES,
    RELATIONS,
    SHAPE,
    radgraph_config,
    radgraph_state,
    write_bert,
    write_radgraph,
)

from evaluation.neural.radgraph import Radgraph, as_graph, load_radgraph
from evaluation.neural.weights import load_tokenizer
from evaluation.radgraph import Entity, Graph
from evaluation.radgraph_words import Words, radgraph_words
from infra.errors import InputError

CPU = torch.device("cpu")
TEXTS = (
    "The heart is normal. The lungs are clear.",
    "Small left pleural effusion, no edema.",
    "No effusion",
    "effusion",
    "right-sided effusion (small).",
)
LONG = " ".join(["small left pleural effusion is clear ."] * 12)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("radgraph")
    write_bert(root / "base")
    write_radgraph(root / "radgraph", "radgraph", "base")
    write_radgraph(root / "radgraph-xl", "radgraph-xl", "base", max_length=20)
    return root


def model(world: Path, name: str = "radgraph", kind: Words = "v1") -> Radgraph:
    return load_radgraph(world / name, world / "base", kind, CPU)


def expected(world: Path, text: str, dataset: str, kind: Words, longest: int) -> Graph:
    """The graph as loops over raw tensors find it."""
    tokenizer = load_tokenizer(world / "base")
    words = radgraph_words(text, kind)
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    flat = [token for word in pieces for token in word]
    room = longest - 2
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    parts = [[first, *flat[at : at + room], last] for at in range(0, len(flat), room)]
    keep = math.ceil(len(words) * float(SHAPE["spans_per_word"]))
    counts = [len(word) for word in pieces]
    entities, relations = plain_networks.radgraph(
        radgraph_state(dataset), dataset, parts, counts, keep
    )
    places = {span: place for place, span in enumerate(entities)}
    return tuple(
        Entity(
            " ".join(words[start : stop + 1]),
            ENTITIES[label - 1],
            tuple(
                (RELATIONS[kind - 1], places[target])
                for (source, target), kind in relations.items()
                if source == (start, stop) and target in places
            ),
        )
        for (start, stop), label in entities.items()
    )


@pytest.mark.parametrize("text", TEXTS)
def test_graphs_equal_an_independent_forward(world: Path, text: str) -> None:
    assert model(world).read(text) == expected(world, text, "radgraph", "v1", 48)


def test_random_weights_find_entities_and_relations(world: Path) -> None:
    graphs = [model(world).read(text) for text in TEXTS]
    assert sum(len(graph) for graph in graphs) > 5
    assert any(entity.relations for graph in graphs for entity in graph)


@pytest.mark.parametrize("text", [TEXTS[1], LONG])
def test_a_long_report_is_read_in_parts(world: Path, text: str) -> None:
    found = model(world, "radgraph-xl", "xl").read(text)
    assert found == expected(world, text, "radgraph-xl", "xl", 20)
    assert found


def test_a_text_without_words_has_no_graph(world: Path) -> None:
    assert model(world).read("") == ()
    assert model(world).read(" \n ") == ()


def test_relations_of_spans_that_are_no_entities_are_left_out() -> None:
    entities = [((0, 0), "OBS-DP"), ((2, 3), "ANAT-DP")]
    relations = [
        ((0, 0), (2, 3), "located_at"),
        ((0, 0), (1, 1), "modify"),
        ((4, 4), (0, 0), "modify"),
    ]
    graph = as_graph(["Edema", "in", "left", "lung", "."], entities, relations)
    assert graph == (
        Entity("Edema", "OBS-DP", (("located_at", 1),)),
        Entity("left lung", "ANAT-DP"),
    )


def rewritten(world: Path, target: Path, change: str) -> Path:
    folder = write_radgraph(target / "radgraph", "radgraph", "base")
    state, config = radgraph_state("radgraph"), radgraph_config("base")
    if change == "missing":
        del state["_relation._relation_scorers.radgraph__relation_labels.bias"]
    elif change == "unknown":
        state["_ner._ner_scorers.other__ner_labels.1._module.bias"] = torch.zeros(2)
    elif change == "shape":
        config["model"]["max_span_width"] = 4
    elif change == "coref":
        config["model"]["loss_weights"]["coref"] = 0.5
    elif change == "config":
        del config["model"]["feature_size"]
    elif change == "labels":
        (folder / "vocabulary/radgraph__ner_labels.txt").write_text("A\nB\n")
    elif change == "relations":
        (folder / "vocabulary/radgraph__relation_labels.txt").unlink()
    elif change == "names":
        (folder / "vocabulary/more__ner_labels.txt").write_text("\nA\n")
    torch.save(state, folder / "weights.th")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("missing", "weights.th of radgraph with 1 tensors missing (first relation.score.bias)"),
        ("unknown", "1 tensors unknown (first _ner._ner_scorers.other__ner_labels.1._module.bias)"),
        ("shape", "1 tensors of another shape (first widths.weight)"),
        ("coref", "found a DyGIE++ model with coref; expected entities and relations"),
        ("config", "config.json of radgraph, which is no DyGIE++ model's (KeyError)"),
        ("labels", "found entity labels that begin with 'A'; expected an empty line"),
        ("relations", "found no radgraph__relation_labels.txt in the vocabulary"),
        ("names", "found 2 files *__ner_labels.txt in the vocabulary; expected one"),
    ],
)
def test_another_archive_is_refused(world: Path, tmp_path: Path, change: str, told: str) -> None:
    folder = rewritten(world, tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_radgraph(folder, world / "base", "v1", CPU)
    assert told in str(caught.value)


def test_modules_that_radgraph_never_asks_may_be_there_or_not(world: Path, tmp_path: Path) -> None:
    folder = write_radgraph(tmp_path / "radgraph", "radgraph", "base")
    state = {
        name: tensor
        for name, tensor in radgraph_state("radgraph").items()
        if not name.startswith(("_coref.", "_events."))
    }
    torch.save(state, folder / "weights.th")
    bare = load_radgraph(folder, world / "base", "v1", CPU)
    assert bare.read(TEXTS[0]) == model(world).read(TEXTS[0])


def test_an_encoder_folder_that_is_none_is_one_line(world: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "cxr-bert"}')
    with pytest.raises(InputError, match="that transformers cannot read"):
        load_radgraph(world / "radgraph", tmp_path, "v1", CPU)
