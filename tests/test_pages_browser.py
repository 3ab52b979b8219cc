"""The reading room in a real Chromium: every view is clicked through, with and without script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from chromium import UNAVAILABLE, Page, find_chromium, open_page
from serve_world import drawer_folder, films, order, running, writer_folder

from tests.pages_world import (
    ABILITY,
    RUN_ID,
    House,
    Room,
    open_room,
    shared_house,
)

PROGRAM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason=UNAVAILABLE),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def house() -> House:
    return shared_house()


@pytest.fixture(scope="module")
def room(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """With a serving process behind it: one small model that answers, one that draws."""
    place = tmp_path_factory.mktemp("served")
    asked = order(
        place, model=str(writer_folder(place / "cxr")), drawing=str(drawer_folder(place / "draw"))
    )
    with ExitStack() as stack:
        served = stack.enter_context(running(asked))
        yield stack.enter_context(open_room(house.root, serving=served.url))


@pytest.fixture
def page(room: Room) -> Iterator[Page]:
    assert PROGRAM is not None
    with open_page(PROGRAM) as found:
        yield found
    assert found.errors == []
    strangers = [url for url in found.asked if not url.startswith((room.url, "about:", "data:"))]
    assert strangers == []


def heading(page: Page) -> str:
    return str(page.run("document.querySelector('h1')?.textContent ?? ''")).strip()


def test_every_view_is_reached_by_clicks(page: Page, room: Room, house: House) -> None:
    page.go(f"{room.url}/")
    for address, word in (
        ("/runs", "Runs"), ("/scores", "Scores"), ("/champions", "Champions"), ("/cases", "Cases"),
        ("/ask", "Ask"), ("/draw", "Draw"), ("/lineage", "Lineage"), ("/", "Today"),
    ):  # fmt: skip
        page.click(f"header nav a[href='{address}']")
        assert word in heading(page)
        assert page.run("document.querySelector('nav [aria-current]').textContent") == word
        seen = page.run("document.querySelector('.notice').getBoundingClientRect().height")
        assert seen > 10, "the notice is seen on every page"
    page.click("header nav a[href='/runs']")
    page.click(f"a[href='/runs/{RUN_ID}']")
    assert page.run("document.querySelectorAll('.funnel .bar').length") == 1
    page.click(f"a[href='/lineage/{house.made['stages'].folder}']")
    assert "stages/finetune" in heading(page)
    page.click(".graph a.node.scores")
    page.click(f"a[href='/cases/{house.scores}']")
    page.click("a.case")
    assert "Study" in heading(page)
    page.go(f"{room.url}/champions/{ABILITY}")
    assert "champion v1" in heading(page)


def test_a_film_is_zoomed_windowed_and_its_attention_seen(
    page: Page, room: Room, house: House
) -> None:
    page.go(f"{room.url}/cases/{house.scores}/case?example=e0001&at=1")
    assert page.run("document.querySelector('.film').naturalWidth") == 80
    page.click("[data-do=in]", leads_on=False)
    assert page.run("document.querySelector('.zoom').textContent") == "140 %"
    page.run("document.querySelector('.stage').focus()")
    page.key("+")
    page.key("0")
    assert page.run("document.querySelector('.zoom').textContent") == "100 %"
    page.click("[data-do=invert]", leads_on=False)
    assert page.run("document.querySelector('feFuncR').getAttribute('slope')") == str(-255 / 256)
    page.click("[data-do=invert]", leads_on=False)
    page.run(
        "const w = document.querySelector('#width'); w.value = 100;"
        "w.dispatchEvent(new Event('input'))"
    )
    assert page.run("document.querySelector('feFuncR').getAttribute('slope')") == "2.55"
    assert page.run("getComputedStyle(document.querySelector('.film')).filter").startswith("url(")
    page.hover(".report .mapped[data-side=prediction]")
    page.wait(lambda: page.run("!!document.querySelector('.veil.on')?.naturalWidth"), "attention")
    assert page.run("document.querySelector('.veil.on').src").endswith("side=prediction&sentence=0")
    page.run("document.querySelector('.mapped[data-side=reference]').focus()")
    page.wait(lambda: page.run("!!document.querySelector('.veil.on[src*=reference]')"), "focus")
    before = heading(page)
    page.run("document.activeElement.blur()")
    page.key("j")
    page.wait(lambda: heading(page) not in ("", before), "the next case")


def test_everything_can_be_reached_by_keyboard(page: Page, room: Room, house: House) -> None:
    page.go(f"{room.url}/cases/{house.scores}/case?example=e0001")
    page.key("Tab")
    assert page.run("document.activeElement.className") == "skip"
    places = page.run(
        "[...document.querySelectorAll('a[href], button, input, select, summary')]"
        ".filter(e => e.type !== 'hidden' && e.offsetParent && e.tabIndex < 0).length"
    )
    assert places == 0


def test_texts_stand_out_in_light_and_dark(page: Page, room: Room, house: House) -> None:
    """4.5:1, as WCAG asks of texts; measured on what the browser has laid out."""
    for dark in (False, True):
        page.look(dark=dark)
        for address in (
            *("/", f"/runs/{RUN_ID}", f"/cases/{house.scores}", "/ask", "/lineage"),
            *(f"/cases/{house.scores}/case?example=e0009", f"/champions/{ABILITY}"),
        ):
            page.go(room.url + address)
            assert page.run(_FAINT) == [], (address, dark)


_FAINT = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => [.2126, .7152, .0722].reduce((sum, w, i) => sum + w * linear(c[i] / 255), 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg, .hidden, .skip, :disabled') || !e.offsetParent) continue;
    const one = light(rgba(getComputedStyle(e).color)), two = light(behind(e));
    const ratio = (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
    const told = `${e.tagName} ${e.className} ${e.textContent.slice(0, 30)} ${ratio}`;
    if (ratio < 4.5) found.push(told);
  }
  return found;
})()
"""


def test_a_film_of_ones_own_is_read_and_asked_about(page: Page, room: Room, tmp_path: Path) -> None:
    picture = tmp_path / "film.png"
    picture.write_bytes(films(1)[0])
    page.go(f"{room.url}/ask")
    page.choose_file("#image", picture)
    page.click("form[action='/ask'] button")
    assert "Your film" in heading(page)
    assert page.run("document.querySelector('.film').naturalWidth") > 0
    assert page.run("document.querySelector('#report').textContent").startswith("Findings")
    page.fill("#question", "Is there a nodule?")
    page.click(".say button")
    turns = page.run("[...document.querySelectorAll('.chat li')].map(e => e.className)")
    assert turns == ["user", "assistant"]
    page.click("form[action$='/forget'] button")
    assert heading(page).startswith("Ask")


def test_a_film_is_drawn_of_a_text(page: Page, room: Room) -> None:
    page.go(f"{room.url}/draw")
    page.fill("#text", "There is a left pleural effusion.")
    page.click("form[action='/draw'] button")
    assert page.run("document.querySelector('.drawn img').naturalWidth") > 0
    assert "left pleural effusion" in page.run("document.querySelector('figcaption').textContent")


def test_without_script_pages_do_as_much(page: Page, room: Room, house: House) -> None:
    page.without_script(True)
    page.go(f"{room.url}/cases/{house.scores}/case?example=e0001&at=1")
    page.click(".report .mapped[data-side=reference]")
    assert page.run("!!document.querySelector('.veil.on').naturalWidth")
    page.click(".window button")
    assert "center=128" in page.run("location.search")
    assert page.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
    page.go(f"{room.url}/cases/{house.scores}")
    page.run("document.querySelector('#show').value = 'missed'")
    page.click(".filters button")
    assert "show=missed" in page.run("location.search")
