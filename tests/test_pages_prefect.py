"""Prefect's pages link to the reading room where the environment says where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.artifacts import Artifact as Shown
from prefect.testing.utilities import prefect_test_harness

from infra.errors import SettingsError
from infra.settings.environment import load_environment
from infra.step import Step
from infra.store import Store
from tasks.context import Order
from tasks.monitor.recorded import recorded_run
from tasks.monitor.room_link import KEY, described
from tasks.monitor.states import report_state
from tests.test_facts_recorded import build

STUDIES = Step("studies", "openi", {"pieces": 2}, {}, 1, ("infra.errors",))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CXR_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "place", ["room", "file:///etc", "http://user:secret@room", "http://r/?a=b"]
)
def test_an_address_that_is_none_is_refused_unseen(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_UI_URL", place)
    with pytest.raises(SettingsError, match="CXR_UI_URL") as caught:
        load_environment()
    assert "secret" not in str(caught.value)


def test_a_table_leads_to_its_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    assert described("studies/openi-1") == "studies/openi-1"
    monkeypatch.setenv("CXR_UI_URL", "https://room.example/cxr/")
    link = "[studies/openi-1](https://room.example/cxr/lineage/studies/openi-1)"
    assert described("studies/openi-1") == link


@pytest.mark.slow
class TestWithPrefect:
    """With Prefect's own server, which takes long to start."""

    @pytest.fixture(scope="class")
    def server(self) -> Iterator[None]:
        with prefect_test_harness():
            yield

    def test_a_run_links_to_its_page(
        self, server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CXR_UI_URL", "http://127.0.0.1:8090")
        order = Order(data_root=str(tmp_path), recipe="llava_rad", scale="tiny")

        @flow
        def told() -> str:
            with recorded_run(order, "ingest") as inner:
                report_state(build(Store(str(tmp_path), tmp_path / ".state"), STUDIES))
                return inner.pipeline_id

        run_id = told()
        link = Shown.get(KEY)
        assert link is not None and isinstance(link.data, str)
        assert f"http://127.0.0.1:8090/runs/{run_id}" in link.data
        table = Shown.get("studies-openi")
        assert table is not None
        assert table.description is not None
        assert table.description.startswith("[studies/openi-")
        assert "http://127.0.0.1:8090/lineage/studies/openi-" in table.description
