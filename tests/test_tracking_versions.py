"""Versions in the registry: which there are, which learned from somebody who withdrew."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InputError
from infra.tracking import (
    WITHDRAWN_TAG,
    Registration,
    VersionSeen,
    _known_version,
    all_versions,
    mark_withdrawn,
)
from infra.tracking_runs import RunBook, is_gone, this_process

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
LINEAGE = {"cxrflow.stages.finetune": "ab"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two models of two versions."""
    folder = tmp_path_factory.mktemp("versions")
    client = book_at(folder).client
    for name in ("one", "two"):
        client.create_registered_model(name)
        for number in ("ab", "cd"):
            tags = {"cxrflow.stages.finetune": number}
            client.create_model_version(name, "file:///nowhere", tags=tags)
    client.set_registered_model_alias("one", "champion", "1")
    client.set_registered_model_alias("one", "candidate", "1")
    client.set_registered_model_alias("two", "candidate", "2")
    return folder


def book_at(folder: Path) -> RunBook:
    return RunBook(f"sqlite:///{folder / 'mlflow.db'}", "e")


def seen(folder: Path) -> dict[str, VersionSeen]:
    return {version.label: version for version in all_versions(book_at(folder))}


def known(folder: Path, tags: dict[str, str]) -> int | None:
    """The version that registering a model with these tags finds."""
    registration = Registration.__new__(Registration)
    object.__setattr__(registration, "tags", tags)
    object.__setattr__(registration, "name", "two")
    found = _known_version(book_at(folder).client, registration)
    return None if found is None else found[0]


def test_every_version_is_seen_with_its_aliases(place: Path) -> None:
    found = seen(place)
    assert {label: version.aliases for label, version in found.items()} == {
        "one/1": ("candidate", "champion"),
        "one/2": (),
        "two/1": (),
        "two/2": ("candidate",),
    }
    assert found["one/1"].tags == LINEAGE
    assert found["one/1"].made_at > 1_600_000_000


def test_without_a_registry_there_is_none_and_none_is_made(tmp_path: Path) -> None:
    assert all_versions(book_at(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_marked_and_retired(place: Path) -> None:
    book = book_at(place)
    mark_withdrawn(book, seen(place)["one/1"], 2, retire=False)
    assert seen(place)["one/1"].tags[WITHDRAWN_TAG] == "2"
    assert seen(place)["one/1"].aliases == ("candidate", "champion")
    mark_withdrawn(book, seen(place)["one/1"], 3, retire=True)
    assert seen(place)["one/1"].tags[WITHDRAWN_TAG] == "3"
    assert seen(place)["one/1"].aliases == ()
    assert seen(place)["two/2"].aliases == ("candidate",)


def test_a_model_trained_anew_is_not_the_version_that_learned_from_somebody(place: Path) -> None:
    assert known(place, LINEAGE) == 1
    mark_withdrawn(book_at(place), seen(place)["two/1"], 1, retire=False)
    assert known(place, LINEAGE) is None
    assert known(place, {**LINEAGE, WITHDRAWN_TAG: "1"}) == 1
    assert known(place, {**LINEAGE, WITHDRAWN_TAG: "2"}) is None
    assert known(place, {"cxrflow.stages.finetune": "cd"}) == 2
    assert known(place, {}) is None


def test_a_server_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with pytest.raises(InputError, match=r"no answer from the registry at http://127\.0\.0\.1:9"):
        all_versions(RunBook("http://127.0.0.1:9", "e"))


def test_a_process_of_this_machine_is_known_to_be_gone_or_not() -> None:
    own = this_process()
    host, number, _ = own.split(":")
    assert not is_gone(own)
    assert is_gone(f"{host}:{number}:1")
    assert is_gone(f"{host}:99999999:1")
    assert not is_gone("another-machine:1:1")
