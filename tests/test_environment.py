"""The place is read from CXR_ variables; secrets never show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.egress import Egress, Guarantee, check_egress, is_loopback
from infra.errors import EgressRefused, SettingsError
from infra.prefect_place import settle_prefect
from infra.settings.environment import load_environment, source_roots, without_password


def test_variables_are_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_WORKERS", "3")
    monkeypatch.setenv("CXR_DATA_ROOT", "/somewhere")
    environment = load_environment(data_root="/else", mlflow_uri=None)
    assert (environment.workers, environment.data_root) == (3, "/else")
    assert environment.state == Path("/else/.state")
    assert environment.tracking_uri == "sqlite:////else/.state/mlflow/mlflow.db"


def test_a_key_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_LLM_API_KEY", "sk-very-secret")
    environment = load_environment()
    assert "very-secret" not in repr(environment) + str(environment.model_dump_json())


def test_a_bad_value_is_named_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_LLM_GUARANTEE", "sk-pasted-into-the-wrong-variable")
    with pytest.raises(SettingsError) as caught:
        load_environment()
    assert str(caught.value) == (
        "found a bad value in CXR_LLM_GUARANTEE; expected 'local', "
        "'zero-retention' or 'none'; correct or unset CXR_LLM_GUARANTEE"
    )


def test_a_remote_root_needs_a_state_folder() -> None:
    with pytest.raises(SettingsError, match="set CXR_STATE_DIR"):
        _ = load_environment(data_root="s3://bucket/cxr").state
    there = load_environment(data_root="s3://bucket/cxr", state_dir=Path("/state"))
    assert there.state == Path("/state")


def test_source_roots_from_variables_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_SOURCE_OPENI", "/data/openi")
    monkeypatch.setenv("CXR_SOURCE_BRAX", "")
    roots = source_roots(["nih_cxr14=/data/nih", "openi=/other"])
    assert roots == {"nih_cxr14": Path("/data/nih"), "openi": Path("/other")}


@pytest.mark.parametrize("option", ["openi", "openi=", "=x"])
def test_a_wrong_source_option(option: str) -> None:
    with pytest.raises(SettingsError) as caught:
        source_roots([option])
    assert str(caught.value) == (
        f"found --source {option}; expected --source name=path; name a source of 'cxr sources'"
    )


REMOTE = "https://llm.example.org/v1"


@pytest.mark.parametrize(
    ("rule", "url", "guarantee", "admitted"),
    [
        (Egress.NEVER, REMOTE, Guarantee.NONE, False),
        (Egress.NEVER, REMOTE, Guarantee.ZERO_RETENTION, False),
        (Egress.NEVER, REMOTE, Guarantee.LOCAL, True),
        (Egress.NEVER, "http://127.0.0.1:9/v1", Guarantee.NONE, True),
        (Egress.NEVER, "http://[::1]:9/v1", Guarantee.NONE, True),
        (Egress.NEVER, "http://localhost:9/v1", Guarantee.NONE, True),
        (Egress.NEVER, "http://localhost.evil.org/v1", Guarantee.NONE, False),
        (Egress.NEVER, "http://127.0.0.1@evil.org/v1", Guarantee.NONE, False),
        (Egress.NEVER, "http://10.0.0.5/v1", Guarantee.NONE, False),
        (Egress.ZERO_RETENTION, REMOTE, Guarantee.NONE, False),
        (Egress.ZERO_RETENTION, REMOTE, Guarantee.ZERO_RETENTION, True),
        (Egress.ZERO_RETENTION, REMOTE, Guarantee.LOCAL, True),
        (Egress.ANY, REMOTE, Guarantee.NONE, True),
    ],
)
def test_egress(rule: Egress, url: str, guarantee: Guarantee, admitted: bool) -> None:
    if admitted:
        check_egress("padchest", rule, url, guarantee)
        return
    with pytest.raises(EgressRefused, match="for source padchest"):
        check_egress("padchest", rule, url, guarantee)


def test_refusal_says_what_would_be_admitted() -> None:
    with pytest.raises(EgressRefused) as caught:
        check_egress("brax", Egress.ZERO_RETENTION, REMOTE, Guarantee.NONE)
    assert str(caught.value) == (
        "found endpoint llm.example.org with guarantee 'none' for source brax; expected an "
        "endpoint that is local or zero-retention (the card's llm_egress is 'zero-retention'); "
        "use a local server, or declare CXR_LLM_GUARANTEE if your contract says so"
    )


def test_loopback_needs_a_host() -> None:
    assert not is_loopback("not a url")


@pytest.fixture
def own_variables() -> Iterator[None]:
    """Whatever the test sets, other tests do not see."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_variables")
def test_prefect_settles_in_the_state_folder_unless_the_user_has_set_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settle_prefect(tmp_path / "state")
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "state" / "prefect")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    settle_prefect(tmp_path / "state")
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("https://llm.example.org/v1", "https://llm.example.org/v1"),
        ("https://me:pw@llm.example.org:8443/v1?a=b", "https://me:***@llm.example.org:8443/v1?a=b"),
        ("postgresql://cxr:p%40w@[::1]:5432/mlflow", "postgresql://cxr:***@[::1]:5432/mlflow"),
        ("https://:token@host/v1", "https://:***@host/v1"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("/data/with:colon@sign", "/data/with:colon@sign"),
    ],
)
def test_a_password_in_a_url_is_never_shown(place: str, shown: str) -> None:
    assert without_password(place) == shown


@pytest.mark.parametrize(
    "name", ["LLM_BUDGET_USD", "LLM_REQUESTS_PER_MINUTE", "LLM_TOKENS_PER_MINUTE"]
)
def test_limits_are_positive_numbers_or_unknown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert getattr(load_environment(), name.lower()) is None
    monkeypatch.setenv(f"CXR_{name}", "2.5")
    assert getattr(load_environment(), name.lower()) == 2.5
    for wrong in ("0", "-1", "inf", "nan", "much"):
        monkeypatch.setenv(f"CXR_{name}", wrong)
        with pytest.raises(SettingsError, match=f"found a bad value in CXR_{name}; expected a"):
            load_environment()


@pytest.mark.parametrize(
    ("cores", "ranks", "expected"), [(1, 1, 0), (2, 1, 1), (16, 1, 4), (16, 8, 1), (96, 8, 4)]
)
def test_films_are_read_by_the_cores_that_train_nothing(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    found = load_environment(processes_per_node=ranks)
    assert found.loader_workers_per_rank == expected
    assert load_environment(loader_workers=0).loader_workers_per_rank == 0
    assert load_environment(loader_workers=7).loader_workers_per_rank == 7
