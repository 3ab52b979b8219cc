"""MLflow's registry as promotions need it: versions, aliases, and a log that the registry numbers.

The log of a model is another registered model, ``<name>.promotions``, whose versions are its
entries. The registry's own primary key numbers them, on SQLite, PostgreSQL or behind a server, so
that all promoters, wherever they run, agree on one order. MLflow is imported on first use.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from infra.errors import CxrError, InputError
from infra.promotion_log import NOBODY, Entry, Kind
from infra.tracking_runs import NestedRun, RunBook

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException

LOG_SUFFIX: Final = ".promotions"
EVIDENCE: Final = "promotion"
"""Folder of a run's artifacts that holds what a promotion was decided on."""
_TAG: Final = "cxrflow.promotion."
_PAGE: Final = 1000  # entries asked for at once; MLflow admits 10,000
_ATTEMPTS: Final = 6
_FIRST_WAIT_S: Final = 0.05
"""Doubled with each attempt: 1.5 s in all (our choice), beside the 20 s that MLflow itself waits
for a locked database."""
_MAY_PASS: Final = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Version:
    """A registered version; ``run_id`` is the MLflow run that made it."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class Registry:
    """The registry at a book's place; evidence is kept in runs of the book's experiment."""

    book: RunBook

    def version(self, name: str, text: str) -> Version:
        """The version of that number, or of that ``@alias``.

        Raises:
            InputError: there is none.
        """
        client = self.book.client
        if text.startswith("@"):
            found = _or_none(lambda: client.get_model_version_by_alias(name, text[1:]))
        else:
            found = _or_none(lambda: client.get_model_version(name, text))
        if found is None:
            raise InputError(
                f"no version '{text}' of model '{name}' in the registry",
                "a registered version's number, or an alias that is set",
                "look with 'mlflow ui', or register one with 'cxr register'",
            )
        return Version(name, int(found.version), str(found.run_id or ""), dict(found.tags))

    def has(self, name: str, number: int) -> bool:
        """Whether there is such a version still."""
        client = self.book.client
        return _or_none(lambda: client.get_model_version(name, str(number))) is not None

    def alias(self, name: str, alias: str) -> int:
        """The version that an alias points at; NOBODY where it is not set."""
        client = self.book.client
        found = _or_none(lambda: client.get_model_version_by_alias(name, alias))
        return NOBODY if found is None else int(found.version)

    def aliased(self, alias: str) -> dict[str, int]:
        """By registered model the version of the alias; models without it are absent."""
        client, found = self.book.client, dict[str, int]()
        token: str | None = None
        while True:
            page = _ask(
                partial(client.search_registered_models, max_results=_PAGE, page_token=token)
            )
            for model in page:
                if alias in model.aliases:
                    found[str(model.name)] = int(model.aliases[alias])
            token = page.token
            if not token:
                return found

    def point(self, name: str, alias: str, number: int) -> None:
        """Set an alias; NOBODY takes it away."""
        client = self.book.client
        if number == NOBODY:
            _ask(lambda: client.delete_registered_model_alias(name, alias))
        else:
            _ask(lambda: client.set_registered_model_alias(name, alias, str(number)))

    def tag(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self._tag(name, number, key, value)

    def _tag(self, name: str, number: int, key: str, value: str) -> None:
        client = self.book.client
        _ask(lambda: client.set_model_version_tag(name, str(number), key, value))

    def open_run(self, title: str, tags: Mapping[str, str]) -> NestedRun:
        """A run of its own, for evidence."""
        return self.book.single_run(title, tags)

    def evidence(self, run_id: str, name: str) -> str | None:
        """The text of a file that a promotion was decided on; None where it is not there."""
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="cxrflow-evidence-") as folder:
            try:
                found = self.book.client.download_artifacts(run_id, f"{EVIDENCE}/{name}", folder)
                return Path(found).read_text(encoding="utf-8")
            except (MlflowException, OSError):
                return None

    def entries(self, name: str) -> list[Entry]:
        """All entries of a model's log, in no order."""
        return [_entry(found) for found in self._versions(name + LOG_SUFFIX)]

    def _versions(self, name: str) -> Iterator[ModelVersion]:
        query, token = f"name = '{_quoted(name)}'", None
        search = partial(self.book.client.search_model_versions, query, max_results=_PAGE)
        while True:
            page = _ask(partial(search, page_token=token))
            yield from page
            token = page.token
            if not token:
                return

    def append(self, name: str, entry: Entry) -> None:
        """Write an entry at the end of a model's log; the registry gives it its number.

        Where an answer got lost, the entry's key tells whether it was written.
        """
        log, client = name + LOG_SUFFIX, self.book.client
        if _or_none(lambda: client.get_registered_model(log)) is None:
            _make_log(client, name)
        uri = client.get_run(entry.run_id).info.artifact_uri

        def write() -> None:
            if all(known.key != entry.key for known in self.entries(name)):
                client.create_model_version(
                    log,
                    f"{uri}/{EVIDENCE}",
                    entry.run_id,
                    tags=_tags(entry),
                    description=described(name, entry),
                    await_creation_for=0,
                )

        _ask(write)

    def mark_settled(self, name: str, number: int) -> None:
        """Note that the alias has been seen to agree with an entry."""
        self._tag(name + LOG_SUFFIX, number, f"{_TAG}settled", "yes")


def _make_log(client: MlflowClient, name: str) -> None:
    """Make the log of a model, unless another promoter has meanwhile."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name + LOG_SUFFIX, description=_about(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise _unanswered(error) from None


def described(name: str, entry: Entry) -> str:
    """An entry in words, as MLflow's pages show it."""
    to = f"version {entry.version}" if entry.version else "nobody"
    before = f"version {entry.expected}" if entry.expected else "nobody"
    text = f"{entry.kind}: {to} in place of {before} as champion of {name}, {entry.by}, {entry.at}"
    return f"{text}: {entry.reason}" if entry.reason else text


def _about(name: str) -> str:
    return (
        f"Log of who became champion of {name}, one version for each entry. Written by 'cxr "
        f"promote' and 'cxr rollback'; read it with 'cxr promotions {name}'. It is no model."
    )


def _tags(entry: Entry) -> dict[str, str]:
    told = {
        "key": entry.key,
        "kind": entry.kind,
        "version": str(entry.version),
        "expected": str(entry.expected),
        "by": entry.by,
        "at": entry.at,
        "outcome": entry.outcome,
        "reason": entry.reason,
    }
    return {f"{_TAG}{key}": value for key, value in told.items() if value}


def _entry(found: ModelVersion) -> Entry:
    """A version of the log as an entry.

    Raises:
        CxrError: something else than this program wrote it.
    """
    told = {
        key.removeprefix(_TAG): value for key, value in found.tags.items() if key.startswith(_TAG)
    }
    try:
        return Entry(
            number=int(found.version),
            key=told["key"],
            kind=_kind(told["kind"]),
            version=int(told["version"]),
            expected=int(told["expected"]),
            by=told["by"],
            at=told["at"],
            outcome=told.get("outcome", ""),
            reason=told.get("reason", ""),
            run_id=str(found.run_id or ""),
            settled=told.get("settled") == "yes",
        )
    except (KeyError, ValueError):
        raise CxrError(
            f"found version {found.version} of {found.name}, which is no entry of a log; expected "
            "what 'cxr promote' writes; delete that version in MLflow"
        ) from None


def _kind(text: str) -> Kind:
    known: dict[str, Kind] = {"promote": "promote", "rollback": "rollback", "outside": "outside"}
    return known[text]


def _quoted(name: str) -> str:
    """A name inside a filter's single quotes.

    Raises:
        InputError: MLflow's filters cannot hold it.
    """
    if "'" in name:
        raise InputError(f"model '{name}'", "a name without quotes", "rename the model")
    return name


def _or_none(ask: Callable[[], ResultT]) -> ResultT | None:
    """What is asked for, or None where the registry has no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return _patiently(ask)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise _unanswered(error) from None


def _ask(ask: Callable[[], ResultT]) -> ResultT:
    """What is asked for.

    Raises:
        CxrError: the registry refuses, or cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _patiently(ask)
    except MlflowException as error:
        raise _unanswered(error) from None


def _patiently(ask: Callable[[], ResultT]) -> ResultT:
    """Ask again where what failed may pass: a locked database, two that wrote one number."""
    from mlflow.exceptions import MlflowException

    for attempt in range(_ATTEMPTS):
        try:
            return ask()
        except MlflowException as error:
            # A server that cannot be reached has been tried for minutes by MLflow's own client.
            away = str(error).startswith("API request to")
            if away or error.error_code not in _MAY_PASS or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_FIRST_WAIT_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _unanswered(error: MlflowException) -> CxrError:
    return CxrError(f"the registry answered {error.error_code}: {str(error)[:300]}")
