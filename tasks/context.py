"""What every unit of work is given: the recipe, the place, the store and the graph of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evaluation.chexprompt_prompt import JUDGE
from evaluation.encoders import find_encoders
from evaluation.meteor_program import find_meteor
from infra.artifact import Artifact, read_artifact
from infra.errors import ArtifactError, InputError
from infra.film_runs import extractor_digests
from infra.fingerprint import tree_digest
from infra.llm.ledger import task_of
from infra.llm.quarantine import retry_rounds
from infra.log import LOGGER
from infra.settings import Settings, load_settings, preset_names
from infra.settings.abilities import AbilitySettings
from infra.settings.environment import Environment, load_environment, source_roots
from infra.settings.sections import ExampleSettings
from infra.step import Step
from infra.store import Store
from sources.catalog import get_source
from tasks.adapt import add_sources, fit_to_sources, require_known
from tasks.graph import Graph, build_graph


class Order(BaseModel):
    """What a person asks for: a parameter of every flow, with what Prefect's pages show of it.

    The schema's patterns and choices are for those pages; who runs a flow from Python or the
    command line gets the one line of ``open_context`` instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(
        default="llava_rad",
        description="Which published system to reproduce.",
        json_schema_extra={"enum": [*sorted({recipe for recipe, _ in preset_names()})]},
    )
    scale: str = Field(
        default="tiny",
        description="The paper's sizes, or ones that two CPU cores train in minutes.",
        json_schema_extra={"enum": [*sorted({scale for _, scale in preset_names()})]},
    )
    overrides: tuple[Annotated[str, Field(json_schema_extra={"pattern": "^[^=]+=.*$"})], ...] = (
        Field(default=(), description="Other values of settings, each as key.path=value.")
    )
    data_root: str | None = Field(
        default=None,
        description="Folder or URL of all artifacts; the worker's CXR_DATA_ROOT if not given.",
    )
    sources: tuple[Annotated[str, Field(json_schema_extra={"pattern": "^[a-z0-9_]+=.+$"})], ...] = (
        Field(
            default=(),
            description="Where raw data lies on the worker, each as name=path, beside its "
            "CXR_SOURCE_ variables.",
        )
    )
    replicas: bool = Field(
        default=False, description="Read sources without raw data from synthetic stand-ins."
    )
    pipeline_id: str = Field(
        default="", description="Groups MLflow runs; leave it empty, the outermost flow sets it."
    )


@dataclass(frozen=True)
class Context:
    """The recipe, the place and the plan of one run; ``roots`` holds real raw data by source.

    ``ability`` is the one of the recipe's that a step is about, the first that writes reports
    unless it is chosen.
    """

    order: Order
    settings: Settings
    environment: Environment
    store: Store
    graph: Graph
    roots: Mapping[str, Path]
    ability: str

    def doing(self, ability: str) -> Context:
        """The same for another ability."""
        return replace(self, ability=ability)

    @property
    def asked(self) -> AbilitySettings:
        """What the ability is."""
        return self.settings.abilities[self.ability]

    @property
    def examples(self) -> ExampleSettings:
        """The set of examples that the ability is scored on."""
        return self.settings.sets[self.asked.examples]

    def step(self, kind: str) -> Step:
        """The ability's own step of a kind."""
        return self.graph[f"{kind}/{self.ability}"]

    def artifact(self, key: str) -> Artifact:
        """A finished input.

        Raises:
            ArtifactError: it has not been built, or its manifest is damaged.
        """
        step = self.graph[key]
        found = read_artifact(self.store, step)
        if found is None:
            raise ArtifactError(f"{step.folder} is not there; run the step that makes {key} first")
        return found

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources of this run, in the recipe's order."""
        return tuple(step.name for step in self.graph.of_kind("studies"))

    def raw_root(self, name: str) -> Path:
        """Where a source's raw files lie: real data, or the built replica's tree."""
        if name in self.roots:
            return self.roots[name]
        return self.artifact(f"replicas/{name}").local_folder("tree")


def open_context(order: Order, *, make: bool = True, trains: bool = True) -> Context:
    """Read settings and environment, look at the raw data, and plan.

    Args:
        make: make the data root and the state folder; a dry run only looks.
        trains: say what stages and tests take where the recipe's own sources are absent; a flow
            that only reads sources has nothing to do with it.

    Raises:
        InputError: a setting, variable, source or path is wrong.
    """
    environment = load_environment(data_root=order.data_root)
    given = source_roots(list(order.sources))
    for name in given:
        get_source(name)  # a misspelt CXR_SOURCE_ variable must not pass unseen
    asked = [option.partition("=")[0] for option in order.sources]
    recipe = load_settings(order.recipe, order.scale, order.overrides)
    require_known(recipe)
    settings, notes = add_sources(recipe, asked)
    roots = {name: path for name, path in given.items() if name in settings.sources.names}
    for name, root in roots.items():
        get_source(name).card.require_files(root)
    _require_apart(environment, roots)
    replicas, without = _replicas(settings, roots) if order.replicas else (frozenset(), ())
    present = tuple(name for name in settings.sources.names if name in roots or name in replicas)
    settings, more = fit_to_sources(settings, present) if present else (settings, [])
    left = [name for name in given if name not in settings.sources.names]
    unused = [
        f"CXR_SOURCE_{name.upper()} is not used: the recipe has no source {name}" for name in left
    ]
    _say_once((*notes, *without, *unused, *(more if trains else ())))
    raw = {name: raw_digest(root) for name, root in roots.items()}
    retries = _retries(environment.state, settings)
    found, _ = find_encoders(settings.score.encoders, environment.weights_root)
    weights = {name: encoder.digest for name, encoder in found.items()}
    meteor = find_meteor(settings.score.encoders, environment.weights_root)
    if not isinstance(meteor, str):
        weights["METEOR"] = meteor.digest
    films = extractor_digests(environment.weights_root)
    graph = build_graph(settings, raw, replicas, retries, weights, films)
    store, first = open_store(environment, make=make), settings.first_ability
    return Context(order, settings, environment, store, graph, roots, first)


def _retries(state: Path, settings: Settings) -> dict[str, str]:
    """The round of each step whose failed requests ``cxr llm retry`` has released."""
    routes = settings.sources.routes
    rounds = {f"reports/{name}": retry_rounds(state, tasks, name) for name, tasks in routes.items()}
    spoken = settings.dialogues.routes
    rounds |= {f"dialogues/{name}": retry_rounds(state, spoken[name], name) for name in spoken}
    judged = retry_rounds(state, [task_of(JUDGE.version)])
    rounds |= {
        f"scores/{name}": judged for name, one in settings.abilities.items() if one.kind == "report"
    }
    return {key: f"round {number}" for key, number in rounds.items() if number}


def _require_apart(environment: Environment, roots: Mapping[str, Path]) -> None:
    """A data root inside raw data would change that data with every file it writes."""
    places = [environment.state]
    data_root = environment.data_root.removeprefix("file://").removeprefix("local://")
    if "://" not in data_root:
        places.insert(0, Path(data_root).absolute())
    for name, root in roots.items():
        raw = root.resolve()
        for place in places:
            if raw in (place.resolve(), *place.resolve().parents):
                raise InputError(
                    f"{place} inside the raw data of {name} at {root}",
                    "artifacts and state outside of what is read",
                    "give another --data-root",
                )


def _replicas(
    settings: Settings, roots: Mapping[str, Path]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """The sources that are read from a stand-in, and a note on each that has none: open data, which
    a person gives or does without.

    Raises:
        InputError: nothing is left to read.
    """
    absent = [name for name in settings.sources.names if name not in roots]
    without = [name for name in absent if get_source(name).write_replica is None]
    if len(without) == len(settings.sources.names):
        raise InputError(
            f"no replica for source '{without[0]}'", "raw data", f"give --source {without[0]}=PATH"
        )
    notes = tuple(
        f"source {name} is left out: it has no replica; give --source {name}=PATH to read it"
        for name in without
    )
    return frozenset(absent) - frozenset(without), notes


@cache
def _say_once(notes: tuple[str, ...]) -> None:
    """Sub-flows open contexts of their own; a person reads each note once."""
    for note in notes:
        LOGGER.warning(note)


def open_store(environment: Environment, *, make: bool = True) -> Store:
    """The environment's data root; a relative path counts from the working directory."""
    root = environment.data_root
    place = root if "://" in root else str(Path(root).absolute())
    return Store(place, environment.state, make=make)


@cache
def raw_digest(root: Path) -> str:
    """Digest of every file under a raw folder by path, size and time, once per process."""
    return tree_digest(root)
