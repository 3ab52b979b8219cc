"""``python -m tests.pictures DATA_ROOT [reading|asking]``: pictures of the reading room.

The data root must be of replicas alone. Where it has registered models, they are served for the
pages about films of one's own, which are phantoms too. A second word takes the pictures of results
alone, or those of films of one's own: a model that was taught no questions is a bad example.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image

from infra.settings.environment import load_environment
from infra.store import Store
from tasks.context import open_store
from tasks.pages.champions import models
from tasks.pages.library import Library
from tests.chromium import UNAVAILABLE, Page, find_chromium, open_page
from tests.pages_world import Room, open_room

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
LARGEST_BYTES: Final = 300_000
_COLOURS: Final = 256
_SIDE_PX: Final = 384
_FILMS_ARE_THERE: Final = """
    [...document.images].filter(each => each.getBoundingClientRect().top < innerHeight)
        .every(each => each.complete && each.naturalWidth)"""
ASKED: Final = "Is there a pleural effusion?"


def require_replicas(root: Path) -> Library:
    """Nothing of a patient's may be in a picture."""
    library = Library(load_store(root))
    replicas = {kept.name for kept in library.of("replicas")}
    real = sorted({kept.name for kept in library.of("studies")} - replicas)
    if real or not replicas:
        sys.exit(
            f"found real data of {', '.join(real) or 'nobody'} in {root}; expected replicas alone"
        )
    return library


def load_store(root: Path) -> Store:
    """The data root, which is not made."""
    return open_store(load_environment(data_root=str(root)), make=False)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A serving process for the newest models of the root; the address of nobody without any."""
    found = models(load_environment(data_root=str(root)), Library(load_store(root)))
    draws = [one.name for one in found if one.name.endswith("-sd")]
    writes = [one.name for one in found if one.name not in draws]
    if not writes:
        yield "http://127.0.0.1:9"
        return
    told = [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        "serve",
        f"{writes[0]}@candidate",
    ]
    told += ["--drawing", f"{draws[0]}@candidate"] if draws else []
    told += ["--port", "0", "--json", "--device", "cpu", "--data-root", str(root)]
    process = subprocess.Popen(told, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.wait(60)


def keep(page: Page, name: str) -> None:
    """One picture; with fewer colours where it would be too large."""
    with Image.open(io.BytesIO(page.picture())) as seen:
        plain = seen.convert("RGB")
    data = _written(plain)
    if len(data) >= LARGEST_BYTES:
        data = _written(plain.quantize(_COLOURS, Image.Quantize.MEDIANCUT, kmeans=1))
    assert len(data) < LARGEST_BYTES, f"{name} has {len(data)} bytes"
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{name}.png").write_bytes(data)
    sys.stdout.write(f"{name:<10} {len(data) // 1024} KiB\n")


def _written(picture: Image.Image) -> bytes:
    with io.BytesIO() as sink:
        picture.save(sink, "PNG", optimize=True)
        return sink.getvalue()


def take(page: Page, room: Room, library: Library) -> None:
    """All pictures but those of the serving process."""
    reports = [kept for kept in library.of("scores") if (library.file(kept, "judged.parquet"))]
    scores = (reports or library.of("scores"))[0].folder.partition("/")[2]
    run = re.findall(r'href="(/runs/[^"?]+)"', room.ask("/runs").text)[0]
    for name, address, dark, size in (
        ("today", "/", False, (1280, 860)),
        ("run", run, False, (1280, 960)),
        ("scores", f"/scores/{scores}", False, (1280, 860)),
        ("cases", f"/cases/{scores}", False, (1280, 960)),
        ("lineage", "/lineage", True, (1480, 900)),
    ):
        page.look(dark, *size)
        page.go(room.url + address)
        page.wait(lambda: page.run(_FILMS_ARE_THERE), "films")
        keep(page, name)
    page.look(False, 1360, 1180)
    page.go(f"{room.url}{_telling_case(room, scores)}")
    if page.run("!!document.querySelector('.report .mapped')"):
        page.hover(".report .mapped")
        page.wait(
            lambda: page.run("!!document.querySelector('.veil.on')?.naturalWidth"), "attention"
        )
    page.run("scrollTo(0, 0); document.activeElement.blur()")
    keep(page, "case")


def _telling_case(room: Room, scores: str) -> str:
    """A case with attention and something missed, if there is one; else the worst."""
    for query in ("show=attention&order=worst", "show=wrong&order=worst", ""):
        found = re.findall(
            r'href="(/cases/[^"]+/case\?[^"]+)"', room.ask(f"/cases/{scores}?{query}").text
        )
        if found:
            return str(found[0]).replace("&amp;", "&")
    raise SystemExit("found no case; expected scored predictions")


def take_asked(page: Page, room: Room, library: Library) -> None:
    """A phantom of the replicas, as if it were one's own."""
    scores = library.of("scores")[0].folder.partition("/")[2]
    case = _telling_case(room, scores)
    film = room.ask(case.replace("/case?", "/film.png?")).body
    place = IMAGES / ".film.png"
    with Image.open(io.BytesIO(film)) as stored:  # smaller than what a model takes for a film
        larger = stored.resize((_SIDE_PX, round(_SIDE_PX * stored.height / stored.width)))
    place.write_bytes(_written(larger))
    try:
        page.look(False, 1360, 820)
        page.go(f"{room.url}/ask")
        page.choose_file("#image", place)
        page.fill("#question", ASKED)
        page.click("form[action='/ask'] button")
        page.run("scrollTo(0, 0)")
        keep(page, "ask")
    finally:
        place.unlink()
    if 'action="/draw"' in room.ask("/draw").text:
        page.look(False, 1360, 920)
        page.go(f"{room.url}/draw")
        page.fill("#text", "There is a large left pleural effusion. The heart is enlarged.")
        page.click("form[action='/draw'] button")
        page.run("scrollTo(0, 0)")
        keep(page, "draw")


def main() -> None:
    """Take them all."""
    program = find_chromium()
    if program is None:
        sys.exit(UNAVAILABLE)
    root, *only = Path(sys.argv[1]), *sys.argv[2:]
    library = require_replicas(root)
    with served(root) as url, open_room(root, serving=url) as room, open_page(program) as page:
        if only != ["asking"]:
            take(page, room, library)
        if only != ["reading"] and not url.endswith(":9"):
            take_asked(page, room, library)
        assert page.errors == [], page.errors


if __name__ == "__main__":
    main()
