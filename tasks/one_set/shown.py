"""A recipe's own way of being asked, carried over to studies of another recipe's test set.

What is the recipe's own: how large films are stored, which views and how many films of a study are
shown and in what order, the words of the request, whether the exam's indication stands in them, and
decoding. What is the host's: the studies, their references, and how answers are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from infra.artifact import Artifact
from infra.settings import Settings
from infra.settings.dialogues import DialogueSettings
from infra.settings.sections import ExampleSettings
from infra.step import Step
from sources.record import Split
from tasks.context import Context
from tasks.graph import CODE, REVISIONS, Graph, read_of
from tasks.ingest.steps import images_told

_OF_HOST: Final = ("task", "test_sources", "validate_sources")
_ONE_FILM: Final = {"images": "study", "most_images": 1, "choose": "first"}


def as_shown(own: ExampleSettings, host: ExampleSettings) -> ExampleSettings:
    """The recipe's set of examples over the host's studies: one example a study.

    A recipe that makes an example of each film is shown the first one of a view that it reads:
    answers are paired by study, and a study with two films must not count twice.
    """
    films: Mapping[str, Any] = _ONE_FILM if own.images == "each" else {}
    held = {name: getattr(host, name) for name in _OF_HOST}
    return own.model_copy(update={**films, **held})


def sees_indications(examples: Artifact) -> bool:
    """Whether any example that a model was trained on tells the exam's indication.

    A model that never saw one is asked without it, whatever the studies tell.
    """
    names = sorted({file.name for piece in examples.pieces for file in piece.files})
    shards = [name for name in names if name.startswith(f"{Split.TRAIN}-")]
    return any(_tells(path) for name in shards for path in examples.files(name))


def _tells(path: Path) -> bool:
    with pq.ParquetFile(path) as file:
        return any(
            table["indication"].null_count < len(table["indication"])
            for table in (
                file.read_row_group(group, ["indication"]) for group in range(file.num_row_groups)
            )
        )


def shown_settings(own: Context, host: Context, name: str, *, with_indication: bool) -> Settings:
    """The recipe with one set and one ability, both of the given name's: the host's studies."""
    asked = own.asked
    prompt = asked.generate.prompt if with_indication else "no-indication"
    generate = asked.generate.model_copy(update={"prompt": prompt})
    ability = asked.model_copy(update={"examples": name, "generate": generate})
    theirs = host.settings
    return own.settings.model_copy(
        update={
            "sources": theirs.sources,
            "screen": theirs.screen,
            "reports": theirs.reports,
            "replicas": theirs.replicas,
            "score": theirs.score,
            "dialogues": DialogueSettings(),
            "readings": (),
            "sets": {name: as_shown(own.examples, host.examples)},
            "abilities": {name: ability},
        }
    )


def ingested(host: Context, settings: Settings) -> dict[str, Step]:
    """The host's steps up to reports of its test sources, with films as the recipe stores them."""
    found: dict[str, Step] = {}
    for name in host.examples.test_sources:
        for kind in ("replicas", "studies", "images", "reports"):
            step = host.graph.steps.get(f"{kind}/{name}")
            if step is not None:
                told = images_told(settings, name)
                found[f"{kind}/{name}"] = replace(step, settings=told) if kind == "images" else step
    return found


def shown_graph(
    own: Context, host: Context, settings: Settings, steps: Mapping[str, Step], test_set: Step
) -> Graph:
    """From the studies to the scores of one recipe's model, which is trained already.

    Args:
        steps: what ``ingested`` gave.
    """
    [name] = settings.sets
    ability = settings.abilities[name]
    chosen = f"{test_set.kind}/{test_set.name}"
    read = {key: step.fingerprint for key, step in steps.items() if not key.startswith("replicas")}
    examples = _step("examples", name, read_of(settings.sets[name]), {
        **read, chosen: test_set.fingerprint,
    }, "tasks.one_set.work")  # fmt: skip
    stages = {f"stages/{step.name}": step for step in own.graph.of_kind("stages")}
    stage = f"stages/{ability.stage}"
    controls = {"controls": list(settings.score.controls)}
    generated = {**ability.generate.model_dump(mode="json"), **controls}
    predictions = _step("predictions", name, generated, {
        stage: stages[stage].fingerprint, f"examples/{name}": examples.fingerprint,
    })  # fmt: skip
    theirs = host.step("scores")
    besides = {k: v for k, v in theirs.inputs.items() if not k.startswith("predictions/")}
    needs = {f"predictions/{name}": predictions.fingerprint, **besides}
    scores = replace(theirs, name=name, inputs=needs)
    return Graph(
        {
            **steps,
            **stages,
            chosen: test_set,
            f"examples/{name}": examples,
            f"predictions/{name}": predictions,
            f"scores/{name}": scores,
        }
    )


def _step(
    kind: str, name: str, settings: Mapping[str, Any], inputs: Mapping[str, str], *more: str
) -> Step:
    return Step(kind, name, settings, inputs, REVISIONS[kind], (*CODE[kind], *more))
