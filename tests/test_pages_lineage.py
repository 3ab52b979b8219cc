"""The lineage page: every artifact a box that leads to its page, every input an edge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.step import Step
from tasks.graph import REVISIONS
from tasks.pages.library import Library
from tasks.pages.lineage import COLUMNS, after, before, draw, ends
from tasks.serve.refused import Refused
from tests.pages_world import (
    House,
    Room,
    copied_house,
    open_room,
    put,
    shared_house,
)
from tests.promote_world import step


@pytest.fixture(scope="module")
def house() -> House:
    return shared_house()


@pytest.fixture(scope="module")
def library(house: House) -> Library:
    return Library(house.store)


@pytest.fixture(scope="module")
def room(house: House) -> Iterator[Room]:
    with open_room(house.root) as found:
        yield found


def folders(house: House, *kinds: str) -> set[str]:
    return {house.made[kind].folder for kind in kinds}


def test_every_kind_of_artifact_has_a_column() -> None:
    drawn = {kind for column in COLUMNS for kind in column} - {"calls"}
    assert drawn == set(REVISIONS)


def test_what_is_behind_and_what_came_of_it(library: Library, house: House) -> None:
    held, stage = library.all(), house.made["stages"].folder
    assert set(before(held, stage)) == folders(house, "examples", "studies", "reports", "replicas")
    later = folders(house, "predictions", "scores", "grounding", "models")
    assert set(after(held, stage)) == later
    assert before(held, house.made["replicas"].folder) == []
    assert {kept.folder for kept in ends(held)} == folders(house, "grounding", "models")
    assert ends(held)[0].kind == "models"


def test_boxes_stand_in_order_and_apart(library: Library, house: House) -> None:
    held, stage = library.all(), house.made["stages"].folder
    found = draw(held, tuple(held), stage)
    places = {(node.x, node.y) for node in found.nodes}
    assert len(places) == len(found.nodes) == len(held) + 1  # and the calls of language models
    x_of = {node.key: node.x for node in found.nodes}
    for kept in held.values():
        assert all(x_of[one] <= x_of[kept.folder] for one in kept.input_folders)
    calls = next(node for node in found.nodes if node.kind == "calls")
    assert calls.note == "15.0 k tokens · $1.25"
    assert x_of[house.made["studies"].folder] < calls.x < x_of[house.made["reports"].folder]
    inside = all(
        node.x + found.node_width <= found.width and node.y + found.node_height <= found.height
        for node in found.nodes
    )
    assert inside
    inputs = sum(len(kept.input_folders) for kept in held.values())
    assert len(found.edges) == inputs + 1  # through the calls there are two in the place of one
    near = len(held[stage].input_folders) + sum(stage in one.input_folders for one in held.values())
    assert sum(edge.is_near for edge in found.edges) == near


def test_a_node_tells_fingerprint_rows_cost_and_links(room: Room, house: House) -> None:
    reports = house.made["reports"]
    told = room.ask(f"/lineage/{reports.folder}").text
    for part in (
        reports.fingerprint,
        "studies to structure",
        "$1.25",
        "12,000 tokens in",
        "offline-rules",
    ):
        assert part in told, part
    for kind in ("studies", "examples"):
        assert f'href="/lineage/{house.made[kind].folder}"' in told
    assert 'aria-current="true"' in told
    scores = room.ask(f"/lineage/{house.made['scores'].folder}").text
    assert f'href="/cases/{house.scores}"' in scores


def test_the_whole_house_is_one_drawing_with_a_link_for_each(room: Room, house: House) -> None:
    told = room.ask("/lineage").text
    svg = told.split('<svg width="')[2].split("</svg>")[0]
    linked = set(re.findall(r'href="/lineage/([^"#]+)"', svg))
    assert linked == {made.folder for made in house.made.values()}


def test_a_house_of_many_artifacts_is_drawn_in_part(house: House) -> None:
    from tasks.pages import lineage_views

    held = Library(house.store).all()
    last = [kept.folder for kept in ends(held)]
    assert len(held) < lineage_views._MOST
    some = draw(held, {last[0], *before(held, last[0])})
    assert len(some.nodes) < len(held) + 1


def test_inputs_that_are_gone_are_named(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    made = put(
        house.store, Step("studies", "lost", {}, {"raw": "ab12", "replicas/gone": "0" * 16}, 1, ()),
        {"x": "x"},
    )  # fmt: skip
    with open_room(house.root) as room:
        told = room.ask(f"/lineage/{made.folder}").text
        assert "replicas/gone" in told and "raw" in told and "not an artifact here" in told
        assert room.ask("/lineage/studies/lost-1").status == 404
        assert room.ask("/lineage/nothing/x").status == 404


def test_a_library_reads_a_manifest_again_when_it_changes(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    library = Library(house.store)
    stamp = library.stamp()
    put(house.store, step("stages", "more", {}, e=house.made["examples"]), {"m": "m"})
    library._looked = -9.0
    assert library.stamp() != stamp
    assert next(kept.name for kept in library.of("stages")) in ("more", "finetune")
    with pytest.raises(Refused, match="no such artifact"):
        library.get("stages/nobody-0")
