"""Every view of the reading room over a small data root: what it shows is what lies there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.serve.notice import NOTICE_HEADER
from tests.pages_world import (
    ABILITY,
    RUN_ID,
    STUDIES,
    House,
    Reply,
    Room,
    copied_house,
    open_room,
    shared_house,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables


@pytest.fixture(scope="module")
def house() -> House:
    return shared_house()


@pytest.fixture(scope="module")
def room(house: House) -> Iterator[Room]:
    with open_room(house.root) as found:
        yield found


def addresses(house: House) -> list[str]:
    scores, stage = house.scores, house.made["stages"].folder
    return [
        "/", "/runs", f"/runs/{RUN_ID}", "/runs/broken", "/scores", f"/scores/{scores}",
        "/champions", f"/champions/{ABILITY}", "/cases", f"/cases/{scores}",
        f"/cases/{scores}/case?example=e0001",
        "/ask", "/draw", "/lineage", f"/lineage/{stage}",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def views(room: Room, house: House) -> dict[str, Reply]:
    """Every view by its address, asked for once."""
    return {address: room.ask(address) for address in addresses(house)}


def test_every_view_says_what_it_is_and_what_it_is_not(views: dict[str, Reply]) -> None:
    for address, reply in views.items():
        assert reply.status == 200, address
        assert "<strong>Not a medical device.</strong>" in reply.text, address
        assert reply.headers[NOTICE_HEADER]
        for part in ('<html lang="en">', "<header", "<nav aria-label", "<main", "<footer", "<h1"):
            assert part in reply.text, (address, part)
        assert reply.text.count("<h1") == 1
        assert 'href="#main">Skip to the page' in reply.text


def test_every_link_of_every_view_leads_somewhere(room: Room, views: dict[str, Reply]) -> None:
    links = {
        found.replace("&amp;", "&").partition("#")[0]
        for reply in views.values()
        for found in re.findall(r'(?:href|src)="(/[^"]*)"', reply.text)
    }
    assert len(links) > 60
    found = {link: (views.get(link) or room.ask(link)).status for link in sorted(links)}
    broken = {link: status for link, status in found.items() if status != 200}
    assert broken == {}


def test_inputs_have_labels_and_pictures_have_texts(views: dict[str, Reply]) -> None:
    for address, reply in views.items():
        text = reply.text
        ids = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
        inputs = re.findall(r"<(?:input|select|textarea)\b[^>]*>", text)
        for found in (each for each in inputs if 'type="hidden"' not in each):
            named = re.search(r'\bid="([^"]+)"', found)
            assert named and named[1] in ids, (address, found)
        assert all("alt=" in found for found in re.findall(r"<img\b[^>]*>", text)), address
        assert all("scope=" in found for found in re.findall(r"<th\b[^>]*>", text)), address


def test_no_page_has_script_or_style_of_its_own_or_fetches_from_elsewhere(
    views: dict[str, Reply],
) -> None:
    for reply in views.values():
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert re.findall(r"<script(?! src=\"/static/)", reply.text) == []
        assert re.findall(r"<style|\bstyle=|\bon\w+=\"", reply.text) == []
        assert re.findall(r'(?:src|href|action)="(?!/|#)', reply.text) == []


def test_runs_are_told_from_facts(room: Room) -> None:
    listed = room.ask("/runs").text
    assert listed.index("ChildError in stages/finetune") < listed.index(RUN_ID)  # the newest first
    told = room.ask(f"/runs/{RUN_ID}").text
    for part in (
        "no report",
        ">30 <small>of 40<",
        "structure",
        "$1.25",
        "12,000",
        "rule14-micro-F1",
    ):
        assert part in told, part
    assert ">ran<" in told and ">cached<" in told
    assert ">failed<" in room.ask("/runs/broken").text
    assert room.ask("/runs/nobody").status == 404
    assert room.ask("/runs?page=0").status == 400


def test_scores_stand_beside_their_controls(room: Room, house: House) -> None:
    told = room.ask(f"/scores/{house.scores}").text
    assert (
        "rule14-micro-F1" in told and "shuffled" in told and "BERTScore" not in told.split("<h2")[0]
    )
    assert "Pleural Effusion" in told
    assert room.ask(f"/scores/{house.scores}/report").text.endswith("own page</title>")
    policy = room.ask(f"/scores/{house.scores}/report").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox;")


def test_champions_come_with_their_log(room: Room) -> None:
    told = room.ask(f"/champions/{ABILITY}").text
    assert "champion v1" in told and "candidate" in told
    order = [told.index(part) for part in ("worse on films of children", "ben@here", "the first")]
    assert order == sorted(order)
    assert "Roll back" not in told  # version 1 has no champion before it
    assert room.ask("/champions/nobody").status == 404


def test_a_page_that_the_browser_has_is_not_sent_again(room: Room, house: House) -> None:
    film = f"/cases/{house.scores}/film.png?example=e0001"
    for address in ("/runs", film, f"/cases/{house.scores}"):
        first = room.ask(address)
        again = room.ask(address, If_None_Match=first.headers["ETag"])
        assert (again.status, again.body) == (304, b""), address
        assert room.ask(address, If_None_Match='"other"').status == 200


def test_an_empty_data_root_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with open_room(tmp_path / "data") as room:
        for address in (
            "/",
            "/runs",
            "/scores",
            "/champions",
            "/cases",
            "/ask",
            "/draw",
            "/lineage",
        ):
            assert room.ask(address).status == 200, address
        assert "cxr run --scale tiny --replicas" in room.ask("/lineage").text
    assert list((tmp_path / "data").iterdir()) == []  # looking writes nothing


def test_what_is_new_is_seen_and_what_is_damaged_is_named(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    with open_room(house.root) as room:
        assert f"{STUDIES} cases" in room.ask(f"/cases/{house.scores}").text
        manifest = house.root / house.made["replicas"].folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": 1'))
        piece = house.root / house.made["predictions"].pieces[0].folder / "predictions.parquet"
        piece.write_bytes(piece.read_bytes()[:-9] + b"\0" * 9)
        _wait_until_old()
        assert house.made["replicas"].folder in room.ask("/lineage").text.partition("Damaged")[2]
        reply = room.ask(f"/cases/{house.scores}")
        assert reply.status == 500 and "damaged" in reply.text and "Traceback" not in reply.text


def _wait_until_old() -> None:
    import time

    from tasks.pages import library

    time.sleep(library._YOUNG_SECONDS)


def test_a_film_may_be_drawn_of_the_projections_that_models_know(room: Room) -> None:
    shown = re.findall(r"<option[^>]*>([^<]*)</option>", room.ask("/draw").text)
    assert shown == ["PA", "AP", "LATERAL"]
