"""Registers a model in MLflow: a pyfunc with signature, example, lineage tags and an alias.

Registering the same model twice (a run killed in between, say) finds the version that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import InputError, Unavailable
from infra.tracking_database import has_database
from infra.tracking_runs import (
    OWNER_TAG,
    PARENT_TAG,
    RunBook,
    is_abandoned,
    metric_name,
    this_process,
)

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

_RUN_NAME_TAG = "mlflow.runName"
WITHDRAWN_TAG = "cxrflow.withdrawn_subjects"
"""How many subjects that a version learned from have withdrawn since."""


@dataclass(frozen=True)
class Registered:
    """One registered version; ``model_uri`` loads with ``mlflow.pyfunc.load_model``."""

    name: str
    version: int
    run_id: str
    model_uri: str
    alias: str


@dataclass(frozen=True)
class Registration:
    """What to register and where.

    Args:
        tags: lineage; equal tags under one name mean the same model.
        code: the Python file that defines the pyfunc and calls ``set_model``.
        artifacts: local folders that the pyfunc reads, by name.
        example: a synthetic input, one row.
        columns: input columns with their MLflow types; all optional.
        outputs: output columns with their MLflow types.
        requirements: packages a server needs.
    """

    book: RunBook
    name: str
    alias: str
    run_name: str
    parent_run_id: str | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    code: Path
    artifacts: Mapping[str, Path]
    example: pd.DataFrame
    columns: Mapping[str, str]
    outputs: Mapping[str, str]
    requirements: Sequence[str]


def register(registration: Registration) -> Registered:
    """Log the pyfunc in a run of its own, register it, and point the alias at it."""
    client = registration.book.client
    known = _known_version(client, registration)
    version, run_id = known or _log_and_register(registration)
    client.set_registered_model_alias(registration.name, registration.alias, str(version))
    return Registered(
        name=registration.name,
        version=version,
        run_id=run_id,
        model_uri=f"models:/{registration.name}/{version}",
        alias=registration.alias,
    )


def version_tags(book: RunBook, name: str, version: str) -> dict[str, str]:
    """Tags of a registered version, by its number or by ``@alias``.

    Raises:
        InputError: the registry has no such version.
    """
    from mlflow.exceptions import MlflowException

    try:
        if version.startswith("@"):
            found = book.client.get_model_version_by_alias(name, version[1:])
        else:
            found = book.client.get_model_version(name, version)
    except MlflowException:
        raise InputError(
            f"no version '{version}' of model '{name}' in the registry",
            "models:/NAME/VERSION or models:/NAME@ALIAS",
            "look with 'mlflow ui'",
        ) from None
    return dict(found.tags)


@dataclass(frozen=True)
class VersionSeen:
    """A registered version; ``made_at`` is seconds of the Unix clock."""

    name: str
    version: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    made_at: float

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"


def all_versions(book: RunBook) -> list[VersionSeen]:
    """Every version of every registered model; none where there is no registry yet.

    Raises:
        InputError: the registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    if not has_database(book.uri):
        return []
    try:
        found = book.client.search_model_versions("", max_results=_MOST_VERSIONS)
        models = {item.name: book.client.get_registered_model(item.name) for item in found}
    except MlflowException:
        raise InputError(
            f"no answer from the registry at {book.uri}",
            "one that tells which models are registered",
            "start it, or correct CXR_MLFLOW_URI",
        ) from None
    aliases: dict[tuple[str, str], list[str]] = {}
    for name, model in models.items():
        for alias, version in dict(model.aliases or {}).items():
            aliases.setdefault((name, str(version)), []).append(str(alias))
    return [
        VersionSeen(
            item.name,
            str(item.version),
            dict(item.tags),
            tuple(sorted(aliases.get((item.name, str(item.version)), ()))),
            float(item.creation_timestamp) / 1000,
        )
        for item in found
    ]


_MOST_VERSIONS = 10_000
"""As many as MLflow gives at once (our choice is all of them)."""


def mark_withdrawn(book: RunBook, version: VersionSeen, number: int, *, retire: bool) -> None:
    """Tag a version with how many subjects it learned from have withdrawn.

    Args:
        retire: take its aliases away, so that nobody is served by it.
    """
    book.client.set_model_version_tag(version.name, version.version, WITHDRAWN_TAG, str(number))
    for alias in version.aliases if retire else ():
        book.client.delete_registered_model_alias(version.name, alias)


@dataclass(frozen=True)
class Pointing:
    """An alias as the registry has it now; ``tags`` are those of the version it points at."""

    model: str
    alias: str
    version: int
    tags: Mapping[str, str]


def all_aliases(uri: str) -> list[Pointing]:
    """Every alias of every registered model.

    Raises:
        Unavailable: the registry does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = []
    try:
        for model in client.search_registered_models():
            for alias, version in model.aliases.items():
                tags = client.get_model_version(model.name, str(version)).tags
                found.append(Pointing(model.name, alias, int(version), dict(tags)))
    except MlflowException as error:
        raise Unavailable(f"the model registry does not answer ({type(error).__name__})") from error
    return found


def _known_version(client: MlflowClient, registration: Registration) -> tuple[int, str] | None:
    """The version and run of a model with exactly these tags; without tags none is known.

    One that learned from somebody who withdrew is not the same as one that was trained anew.
    """
    if not registration.tags:
        return None
    for found in client.search_model_versions(f"name = '{registration.name}'"):
        tags = dict(found.tags)
        same = tags.get(WITHDRAWN_TAG) == registration.tags.get(WITHDRAWN_TAG)
        if same and registration.tags.items() <= tags.items():
            return int(found.version), str(found.run_id)
    return None


def _log_and_register(registration: Registration) -> tuple[int, str]:
    import mlflow

    book = registration.book
    mlflow.set_tracking_uri(book.uri)
    mlflow.set_registry_uri(book.uri)
    run_id = _open_run(registration)
    with mlflow.start_run(run_id=run_id):
        named = {metric_name(key): value for key, value in registration.metrics.items()}
        mlflow.log_metrics(named)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(registration.code),
            artifacts={name: str(path) for name, path in registration.artifacts.items()},
            signature=_signature(registration),
            input_example=registration.example,
            pip_requirements=list(registration.requirements),
            tags=dict(registration.tags),
        )
    version = mlflow.register_model(
        logged.model_uri, registration.name, tags=dict(registration.tags)
    )
    return int(version.version), run_id


def _open_run(registration: Registration) -> str:
    """The run to log in: one that a killed process left behind, else a new one."""
    book = registration.book
    own = {OWNER_TAG: this_process()}
    if registration.parent_run_id is not None:
        own[PARENT_TAG] = registration.parent_run_id
    tags = {**registration.tags, _RUN_NAME_TAG: registration.run_name}
    for status in ("RUNNING", "KILLED"):
        left = book.client.search_runs([book.experiment_id], f"attributes.status = '{status}'")
        for run in left:
            if tags.items() <= run.data.tags.items() and is_abandoned(run.data.tags):
                for key, value in own.items():
                    book.client.set_tag(run.info.run_id, key, value)
                return str(run.info.run_id)
    return str(book.client.create_run(book.experiment_id, tags={**tags, **own}).info.run_id)


def _signature(registration: Registration) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(
        inputs=Schema(
            [ColSpec(kind, name, required=False) for name, kind in registration.columns.items()]
        ),
        outputs=Schema([ColSpec(kind, name) for name, kind in registration.outputs.items()]),
    )
