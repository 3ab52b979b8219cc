"""Whose answers count as which model's: the embedded rules, a named endpoint, or a refusal."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from llm_world import GOOD, Script, question, scripted_server

from infra.egress import Guarantee
from infra.errors import SettingsError
from infra.llm import Client
from infra.settings.environment import Environment, load_environment
from tasks.reports.connection import Teacher, named_endpoint, require_endpoint
from tasks.reports.offline_answers import MODEL


def place(tmp_path: Path, **fields: Any) -> Environment:
    return load_environment(data_root=str(tmp_path), **fields)


def test_without_an_endpoint_only_the_rules_may_be_asked(tmp_path: Path) -> None:
    require_endpoint(place(tmp_path), MODEL)
    with pytest.raises(SettingsError) as caught:
        require_endpoint(place(tmp_path), "gpt-4-0613")
    assert str(caught.value) == (
        "found model 'gpt-4-0613' without an endpoint; expected the address of a server that has "
        "it; set CXR_LLM_BASE_URL, or ask for offline-rules, the embedded rules, in reports.model "
        "and score.judges"
    )
    assert caught.value.exit_code == 2


def test_with_an_endpoint_any_model_may_be_asked(tmp_path: Path) -> None:
    named = place(tmp_path, llm_base_url="https://llm.example.org/v1")
    require_endpoint(named, "gpt-4-0613")
    require_endpoint(named, MODEL)


def test_the_environment_names_the_endpoint(tmp_path: Path) -> None:
    assert named_endpoint(place(tmp_path)) is None
    endpoint = named_endpoint(
        place(
            tmp_path,
            llm_base_url="https://llm.example.org/v1",
            llm_api_key="sk-1",
            llm_guarantee="zero-retention",
            llm_kind="azure",
        )
    )
    assert endpoint is not None
    assert (endpoint.host, endpoint.kind) == ("llm.example.org", "azure")
    assert endpoint.guarantee is Guarantee.ZERO_RETENTION
    assert endpoint.api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(endpoint)


def test_a_url_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        named_endpoint(place(tmp_path, llm_base_url="llm.example.org"))
    assert str(caught.value) == (
        "found language model URL 'llm.example.org'; expected http(s)://host[:port]/v1; "
        "set CXR_LLM_BASE_URL"
    )


def test_nothing_is_started_before_it_is_asked_for(tmp_path: Path) -> None:
    before = threading.active_count()
    with Teacher(place(tmp_path)):
        assert threading.active_count() == before
    assert not (tmp_path / ".state").exists()


def test_the_rules_never_judge_under_another_name(tmp_path: Path) -> None:
    """One of two judges without a server: neither is asked, although the rules could answer."""
    with (
        Teacher(place(tmp_path)) as teacher,
        pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint"),
    ):
        teacher.client(MODEL, "gpt-4")


def test_a_second_model_is_checked_when_the_rules_are_connected(tmp_path: Path) -> None:
    with Teacher(place(tmp_path)) as teacher:
        client = teacher.client(MODEL)
        assert client.endpoint.is_loopback
        assert client.endpoint.guarantee is Guarantee.LOCAL
        with pytest.raises(SettingsError, match="found model 'gpt-4' without an endpoint"):
            teacher.client("gpt-4")
        assert teacher.client(MODEL) is client


def test_threads_share_one_client_and_one_server(tmp_path: Path) -> None:
    with scripted_server(Script(lambda *_: (200, GOOD))) as endpoint:
        named = place(tmp_path, llm_base_url=endpoint.base_url, llm_concurrency=3)
        with Teacher(named) as teacher:
            clients: list[Client] = []
            threads = [
                threading.Thread(target=lambda: clients.append(teacher.client("scripted")))
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len({id(client) for client in clients}) == 1
            assert clients[0].limits.concurrency == 3
            (answer,) = clients[0].complete_many([question("x")])
            assert answer.model == "scripted-2024-01-01"
    assert (tmp_path / ".state").is_dir()
