"""What every unit of work is given: the recipe, the place, the store and the graph of steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from infra.artifact import Artifact, read_artifact
from infra.errors import ArtifactError, InputError
from infra.fingerprint import stat_digest
from infra.settings import Settings, load_settings
from infra.settings.environment import Environment, load_environment, source_roots
from infra.store import Store
from sources.catalog import get_source
from tasks.graph import Graph, build_graph


class Order(BaseModel):
    """What a person asks for; the only parameter of every flow.

    Args:
        overrides: ``key.path=value`` settings.
        sources: ``name=path`` of raw data, beside the ``CXR_SOURCE_`` variables.
        replicas: read sources that have no raw data from their synthetic stand-ins.
        pipeline_id: groups the MLflow runs of one pipeline run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = "llava_rad"
    scale: str = "tiny"
    overrides: tuple[str, ...] = ()
    data_root: str | None = None
    sources: tuple[str, ...] = ()
    replicas: bool = False
    pipeline_id: str = Field(default="", description="set by the pipeline flow")


@dataclass(frozen=True)
class Context:
    """The recipe, the place and the plan of one run; ``roots`` holds real raw data by source."""

    order: Order
    settings: Settings
    environment: Environment
    store: Store
    graph: Graph
    roots: Mapping[str, Path]

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


def open_context(order: Order) -> Context:
    """Read settings and environment, look at the raw data, and plan.

    Raises:
        InputError: a setting, variable, source or path is wrong.
    """
    settings = load_settings(order.recipe, order.scale, order.overrides)
    environment = load_environment(data_root=order.data_root)
    roots = {
        name: path
        for name, path in source_roots(list(order.sources)).items()
        if name in settings.sources.names
    }
    _refuse_unknown(order, settings)
    for name, root in roots.items():
        get_source(name).card.require_files(root)
    replicas = frozenset(settings.sources.names) - roots.keys() if order.replicas else frozenset()
    for name in replicas:
        if get_source(name).write_replica is None:
            raise InputError(
                f"no replica for source '{name}'", "raw data", f"give --source {name}=PATH"
            )
    raw = {name: raw_digest(root) for name, root in roots.items()}
    graph = build_graph(settings, raw, replicas)
    store = Store(_absolute(environment.data_root), environment.state)
    return Context(order, settings, environment, store, graph, roots)


def _refuse_unknown(order: Order, settings: Settings) -> None:
    for option in order.sources:
        name = option.partition("=")[0]
        if name not in settings.sources.names:
            raise InputError(
                f"--source {name}, which recipe '{order.recipe}' does not read",
                f"one of {', '.join(settings.sources.names)}",
                f"add it with --set 'sources.routes.{name}=[\"structure\"]'",
            )


def _absolute(root: str) -> str:
    return root if "://" in root else str(Path(root).absolute())


@cache
def raw_digest(root: Path) -> str:
    """Digest of every file under a raw folder by path, size and time, once per process."""
    names = [
        os.path.relpath(Path(folder) / name, root)
        for folder, _, files in os.walk(root)
        for name in files
        if not name.startswith(".")
    ]
    return stat_digest(root, names)
