"""Cases and one case: its film, both texts with differences marked, attention, judged errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from sources.record import OBSERVATIONS
from tasks.pages.cases import ORDERS, PAGE_ROWS, SHOWN, CasePage, CaseSet, Filter, whole
from tasks.pages.films import attention, size_of, veil, windowed
from tasks.pages.marks import Marked, mark, with_maps
from tasks.pages.room import ROOM, Room, page, picture, query_of, work
from tasks.serve.refused import bad

_SIDES = ("reference", "prediction")


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_get("/cases", sets)
    router.add_get("/cases/{name}", cases)
    router.add_get("/cases/{name}/case", case)
    router.add_get("/cases/{name}/film.png", film)
    router.add_get("/cases/{name}/drawn.png", drawn)
    router.add_get("/cases/{name}/attention.png", attention_veil)


async def sets(request: web.Request) -> web.Response:
    """Which scored runs have cases."""
    room = request.app[ROOM]
    return page(request, "case_sets.html.j2", sets=await work(_sets, room))


def _sets(room: Room) -> list[dict[str, Any]]:
    found = []
    for kept in room.library.of("scores"):
        place = kept.input_of("predictions")
        if place in room.library.all():
            found.append({"kept": kept, "predictions": room.library.get(str(place))})
    return found


async def cases(request: web.Request) -> web.Response:
    """A page of cases, filtered and ordered as the address says."""
    room, wanted = request.app[ROOM], Filter.read(query_of(request))
    found, listed = await work(_page_of, room, request.match_info["name"], wanted)
    return page(
        request,
        "cases.html.j2",
        cases=found,
        listed=listed,
        filter=wanted,
        sources=await work(found.sources),
        kind=found.kind,
        observations=OBSERVATIONS,
        shown=SHOWN,
        orders=ORDERS,
        mapped=await work(found.mapped),
    )


def _page_of(room: Room, name: str, wanted: Filter) -> tuple[CaseSet, CasePage]:
    found = CaseSet.of(room.library, name)
    return found, found.page(wanted)


async def case(request: web.Request) -> web.Response:
    """One case. Its window and the sentence whose attention is shown may stand in the address, so
    that both work without script."""
    room, query = request.app[ROOM], query_of(request)
    center, width = window_of(query)
    values = await work(_case, room, request.match_info["name"], query)
    shown = (query.get("side", ""), query.get("sentence", ""))
    if shown != ("", "") and (shown[0] not in _SIDES or not shown[1].isdigit()):
        raise bad("another sentence", "one of the page's", "follow a link", "sentence")
    return page(request, "case.html.j2", center=center, width=width, shown=shown, **values)


def _case(room: Room, name: str, query: Mapping[str, str]) -> dict[str, Any]:
    found, example_id = CaseSet.of(room.library, name), query.get("example", "")
    row = found.case(example_id)
    values: dict[str, Any] = {
        "cases": found,
        "kind": found.kind,
        "row": row,
        "films": room.films.count(found, example_id),
        "others": found.others(example_id),
        "judged": found.judged(example_id) if found.kind == "report" else [],
        "question": found.question(example_id) if found.kind == "answers" else "",
        "replica": _is_replica(room, row.get("source", "")),
        **_place_in_list(found, query),
    }
    if found.kind == "report":
        maps = found.maps(example_id)
        values["marked"] = _marked(maps, row)
        values["has_maps"] = any(maps.values())
    return values


def _place_in_list(found: CaseSet, query: Mapping[str, str]) -> dict[str, Any]:
    """The list that the case was opened from, and its neighbours there."""
    wanted, at = Filter.read({**query, "page": "1"}), query.get("at", "")
    number = whole(at, "at") if at else 0
    before, after = found.around(wanted, number) if number else ("", "")
    page_number = 1 + (number - 1) // PAGE_ROWS if number else 1
    told = dict(parse_qsl(wanted.address(**({"at": number} if number else {}))))
    return {
        "previous": before,
        "next": after,
        "list_query": replace(wanted, page=page_number).address(),
        "kept_query": told,
        "back": urlencode(told),
    }


def _is_replica(room: Room, source: str) -> bool:
    return any(kept.name == source for kept in room.library.of("replicas"))


def _marked(maps: Mapping[str, Mapping[str, int]], row: Mapping[str, Any]) -> Marked:
    plain = mark(row["reference"], row["prediction"])
    return Marked(
        with_maps(plain.reference, maps["reference"]),
        with_maps(plain.prediction, maps["prediction"]),
        plain.findings,
    )


def window_of(query: Any) -> tuple[int, int]:
    """Center and width in grey levels of an address; 128 and 256 show the film as it is.

    Raises:
        Refused: 400.
    """
    center = whole(query.get("center") or "128", "center")
    width = whole(query.get("width") or "256", "width")
    if center > 255 or width > 512:
        raise bad("another window", "center to 255, width to 512", "move the sliders", "width")
    return center, width


async def film(request: web.Request) -> web.Response:
    """A stored film as PNG, through a window."""
    room, query = request.app[ROOM], query_of(request)
    center, width = window_of(query)
    number = whole(query.get("number") or "1", "number") - 1

    def make() -> bytes:
        found = CaseSet.of(room.library, request.match_info["name"])
        return windowed(
            room.films.of_example(found, query.get("example", ""), number), center, width
        )

    return picture(request, await work(make))


async def drawn(request: web.Request) -> web.Response:
    """A film that a model drew, as PNG."""
    room, query = request.app[ROOM], query_of(request)

    def make() -> bytes:
        found = CaseSet.of(room.library, request.match_info["name"])
        control = query.get("control", "none")
        return windowed(room.films.drawn(found, query.get("example", ""), control), *window_of({}))

    return picture(request, await work(make))


async def attention_veil(request: web.Request) -> web.Response:
    """One sentence's attention as a veil for its film."""
    room, query = request.app[ROOM], query_of(request)
    side, sentence = query.get("side", ""), query.get("sentence", "")
    if side not in _SIDES or not (sentence.isascii() and sentence.isdigit() and len(sentence) < 6):
        raise bad("another sentence", "one of the page's", "follow a link", "sentence")

    def make() -> bytes:
        found, name = CaseSet.of(room.library, request.match_info["name"]), query.get("example", "")
        heat = attention(found, name, side, int(sentence))
        return veil(heat, size_of(room.films.of_example(found, name)))

    return picture(request, await work(make))
