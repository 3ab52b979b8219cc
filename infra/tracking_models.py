"""Registered versions: which one an alias names, and its files on this machine.

The registry may be a server and the files in an object store: then they are copied into a folder,
whole or not at all. No code that lies beside a model is run.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from infra.errors import InputError, Unavailable
from infra.tracking_database import require_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[\w.-]+))")
_MLMODEL = "MLmodel"
_MODEL_PART, _SETTINGS_PART = "model", "serving"
_DRAWS_FILE = "drawing.json"
_ADVICE = "give NAME@ALIAS, NAME/VERSION or a registered model's folder"


@dataclass(frozen=True)
class Reference:
    """A registered model as a person names it; ``at`` is ``@alias`` or a version's number."""

    name: str
    at: str

    @classmethod
    def read(cls, text: str) -> Reference:
        """From ``NAME@ALIAS`` or ``NAME/VERSION``, with or without ``models:/``.

        Raises:
            InputError: it is neither.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise InputError(f"the model '{text}'", "NAME@ALIAS or NAME/VERSION", _ADVICE)
        return cls(found["name"], found["version"] or f"@{found['alias']}")


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


@dataclass(frozen=True)
class Parts:
    """The folders of a registered model, and whether it draws."""

    model: Path
    settings: Path
    draws: bool


@dataclass(frozen=True)
class ModelShelf:
    """A registry, and the folder that gets copies of what is not on this machine."""

    uri: str
    copies: Path

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        require_database(self.uri)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def find(self, reference: Reference) -> Version:
        """The version that is named now.

        Raises:
            InputError: there is none.
            Unavailable: the registry does not answer.
        """
        with _explained(f"no version '{reference.at}' of model '{reference.name}'"):
            if reference.at.startswith("@"):
                found = self._client.get_model_version_by_alias(reference.name, reference.at[1:])
            else:
                found = self._client.get_model_version(reference.name, reference.at)
        return Version(reference.name, str(found.version))

    def folder(self, version: Version) -> Path:
        """The version's folder: where it lies, if that is on this machine, else a copy.

        Raises:
            InputError, Unavailable: as ``find``, or its files cannot be had.
        """
        copy = self.copies / quote(version.name, safe="") / version.number
        if copy.is_dir():
            return copy
        with _explained(f"no files of {version}"):
            place = self._place(version)
            return self._fetch(place, copy)

    def forget(self, version: Version) -> None:
        """Remove the version's copy, if there is one."""
        shutil.rmtree(self.copies / quote(version.name, safe="") / version.number, True)

    def _place(self, version: Version) -> str:
        """Where MLflow keeps the files; of a logged model it names the model first."""
        place: str = self._client.get_model_version_download_uri(version.name, version.number)
        logged = re.fullmatch(r"models:/(m-[0-9a-f]+)", place)
        if logged:
            place = self._client.get_logged_model(logged[1]).artifact_location
        return place

    def _fetch(self, place: str, copy: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        parts = urlsplit(place)
        if parts.scheme in ("", "file"):
            return Path(unquote(parts.path))
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=copy.parent) as scratch:
            download_artifacts(
                artifact_uri=place,
                dst_path=scratch,
                tracking_uri=self.uri,
                registry_uri=self.uri,
            )
            whole = next(Path(scratch).rglob(_MLMODEL)).parent
            try:
                whole.rename(copy)
            except OSError:
                if not copy.is_dir():  # else another server was first
                    raise
        return copy


@contextmanager
def _explained(absent: str) -> Iterator[None]:
    """MLflow's errors in words: what is not there, or a registry that does not answer."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise InputError(f"{absent} in the registry", "one that is there", _ADVICE) from None
        raise Unavailable(f"the registry does not answer ({error.error_code})") from error
    except (requests.RequestException, OSError, StopIteration) as error:
        raise Unavailable(f"{absent} could be had ({type(error).__name__})") from error


def parts_of(folder: Path) -> Parts:
    """The folders inside a registered model's folder.

    Raises:
        InputError: it is no model that cxrflow registered.
    """
    model, settings = (_part(folder, name) for name in (_MODEL_PART, _SETTINGS_PART))
    return Parts(model, settings, (settings / _DRAWS_FILE).is_file())


def _part(folder: Path, name: str) -> Path:
    flavor = _flavor(folder / _MLMODEL)
    told = flavor.get("artifacts", {}).get(name, {}).get("path")
    place = (folder / str(told)).resolve()
    if told is None or not place.is_dir() or not place.is_relative_to(folder.resolve()):
        raise InputError(
            f"no part '{name}' in {folder}", "a model that 'cxr register' put there", _ADVICE
        )
    return place


def _flavor(file: Path) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        found: dict[str, Any] = told["flavors"]["python_function"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f"{file}, which cannot be read ({type(error).__name__})", "a registered model", _ADVICE
        ) from None
    return found
