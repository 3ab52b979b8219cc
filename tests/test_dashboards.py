"""Grafana's dashboards: every panel asks for series that an endpoint tells, and the files are the
code's."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from infra.dashboards.written import ALL, FOLDER, dashboards
from infra.fingerprint import HOUSE
from tests.dashboards_world import SERVING, Series, all_series
from tests.promql_reading import filled_in, read_query

PROMETHEUS_OWN = {"ALERTS": {"alertname", "alertstate", "severity", "flow", "source", "stage"}}
BOARDS: dict[str, Any] = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")
}
PANELS = [
    pytest.param(name, panel, id=f"{name}: {panel['title']}")
    for name, board in sorted(BOARDS.items())
    for panel in board["panels"]
    if panel["type"] != "row"
]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return all_series(tmp_path_factory.mktemp("dashboards"))


def test_the_files_are_what_the_code_says() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    assert written == dashboards(), "run 'make dashboards'"
    assert len(PANELS) > 40


def expressions(panel: dict[str, Any]) -> list[str]:
    return [filled_in(target["expr"]) for target in panel["targets"]]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_every_panel_asks_for_series_that_are_told(
    board: str, panel: dict[str, Any], series: Series
) -> None:
    del board
    for expression in expressions(panel):
        asked = read_query(expression)
        assert asked.selectors, expression
        known: set[str] = set()
        for selector in asked.selectors:
            if selector.name in PROMETHEUS_OWN:
                continue
            assert selector.name in series, f"nobody tells {selector.name}"
            chosen = [labels for labels in series[selector.name] if selector.fits(labels)]
            assert chosen, f"no series of {selector}"
            for label, _, _ in selector.matchers:
                assert all(label in labels for labels in series[selector.name]), (label, selector)
            known |= {label for labels in chosen for label in labels}
        assert asked.labels <= known, f"{asked.labels - known} of {expression}"


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_legends_name_labels_that_the_answer_has(
    board: str, panel: dict[str, Any], series: Series
) -> None:
    del board
    for target in panel["targets"]:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        asked = read_query(filled_in(target["expr"]))
        labels = asked.labels - {"le"}
        if not asked.labels:
            labels = {
                label for each in asked.selectors for own in series.get(each.name, ())
                for label in own
            }  # fmt: skip
        assert named <= labels, target


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_tables_have_one_row_for_a_thing(board: str, panel: dict[str, Any]) -> None:
    """Grafana merges rows of equal labels: all queries of a table must keep the same ones, and none
    the metric's name or who was asked."""
    del board
    if panel["type"] != "table":
        return
    kept = [re.search(r"(?:max|sum) by \(([^)]*)\)", one) for one in expressions(panel)]
    assert all(kept), panel["title"]
    assert len({found[1] for found in kept if found}) == 1
    shown = panel["transformations"][1]["options"]["renameByName"]
    assert len(shown) == len(panel["targets"])


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_board_is_whole_and_nothing_overlaps(name: str) -> None:
    board = BOARDS[name]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert len(panel["description"]) > 15, panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert [target["refId"] for target in panel["targets"]] == list("ABCDEF")[
                : len(panel["targets"])
            ]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_variables_are_asked_for_and_used(name: str, series: Series) -> None:
    board = BOARDS[name]
    text = json.dumps(board["panels"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "datasource":
            continue
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert found is not None
        assert all(found[2] in labels for labels in series[found[1]]), variable["name"]
        assert f"${variable['name']}" in text
        how = "=~" if variable["multi"] else "="
        found_how = set(re.findall(rf'(=~?)\\"\${variable["name"]}\\"', text))
        assert found_how == {how}, (
            "Grafana escapes a choice for a pattern only where it may be many"
        )
    used = set(re.findall(r"\$([a-z]\w*)", text)) - {"datasource"}
    assert used <= {variable["name"] for variable in board["templating"]["list"]}


def test_addresses_of_dashboards_are_frozen() -> None:
    assert [board.uid for board in ALL] == [
        *("cxrflow-flows", "cxrflow-sources", "cxrflow-language-models", "cxrflow-stages"),
        *("cxrflow-models", "cxrflow-serving"),
    ]


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    folder = HOUSE / "infra" / "deploy" / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [provider] = yaml.safe_load((folder / "dashboards" / "cxrflow.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].endswith("/dashboards")


def test_what_serving_is_relied_on_for_is_what_it_tells() -> None:
    place = HOUSE / "tasks" / "serve" / "metrics.py"
    if not place.exists():
        pytest.skip("unavailable: this tree has no serving process")
    text = place.read_text(encoding="utf-8")
    for name in SERVING:
        assert f'"{name}"' in text
    assert '"cxr_serve_requests"' in text
    assert '["route", "status"]' in text
    assert 'labels=["part", "model", "version"]' in text


@pytest.mark.parametrize(
    "wrong", ["sum by (a (x)", "x{a=b}", "x[5m", "frobnicate(x)", "x{a=\"b\"} $"]
)  # fmt: skip
def test_what_is_no_query_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"no PromQL|no matcher|parentheses|functions"):
        read_query(wrong)


def test_a_query_is_taken_apart() -> None:
    text = 'sum by (le, a) (rate(x_bucket{b=~"c|d", e!="f"}[5m])) / on (a) y > 2 * time()'
    asked = read_query(text)
    assert [each.name for each in asked.selectors] == ["x_bucket", "y"]
    assert asked.labels == {"le", "a"}
    assert asked.functions == {"sum", "rate", "time"}
    assert asked.selectors[0].fits({"b": "d", "e": "g"})
    assert not asked.selectors[0].fits({"b": "cd", "e": "g"})
    assert not asked.selectors[0].fits({"b": "c", "e": "f"})
