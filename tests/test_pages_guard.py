"""Who gets in and who may act: tokens, roles, sessions, other sites, other names."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.log import LOGGER
from infra.tokens import Role, TokenFile, add_token
from tasks.pages.guard import COOKIE, Guard, local_path
from tests.pages_world import (
    ABILITY,
    CANARY,
    House,
    Reply,
    Room,
    open_room,
    shared_house,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
NAME = "room.example"


@pytest.fixture(scope="module")
def house() -> House:
    return shared_house()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    made = {str(role): add_token(path, f"the-{role}", role) for role in Role}
    return {**made, "file": str(path)}


@pytest.fixture(scope="module")
def room(house: House, tokens: dict[str, str]) -> Iterator[Room]:
    """Beyond loopback, with tokens."""
    told = {"host": "0.0.0.0", "token_file": Path(tokens["file"]), "names": (NAME,)}
    with open_room(house.root, **told) as found:
        yield found


@pytest.fixture(scope="module")
def local(house: House) -> Iterator[Room]:
    """On loopback, without tokens."""
    with open_room(house.root) as found:
        yield found


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    sink = io.StringIO()
    handler, level = logging.StreamHandler(sink), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    yield sink
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


def enter(room: Room, token: str, to: str = "/", **headers: str) -> Reply:
    return room.ask("/enter", {"token": token, "to": to}, **headers)


def cookie_of(reply: Reply) -> str:
    return str(reply.headers["Set-Cookie"]).partition(";")[0]


# Tokens and sessions.


def test_beyond_this_machine_there_is_no_room_without_tokens(house: House) -> None:
    with pytest.raises(InputError, match="a token file beyond this machine"):
        Guard("0.0.0.0", None)
    assert Guard("127.0.0.1", None).tokens is None


def test_nobody_sees_anything_without_a_token(room: Room, house: House) -> None:
    pages = [
        "/",
        "/runs",
        f"/cases/{house.scores}",
        "/lineage",
        "/ask",
        "/nowhere",
        "/../etc/passwd",
    ]
    for path in [*pages, f"/cases/{house.scores}/film.png?example=e0001"]:
        browser = room.ask(path, Accept="text/html")
        assert browser.status == 303 and browser.headers["Location"].startswith("/enter?to="), path
        program = room.ask(path)
        assert program.status == 401 and "data" not in program.text.partition("<footer>")[0], path
    assert room.ask("/enter").status == 200
    assert room.ask("/health").status == 200
    assert room.ask("/static/room.css").status == 200


def test_a_token_opens_a_session_that_ends(room: Room, tokens: dict[str, str]) -> None:
    reply = enter(room, tokens["viewer"], "/runs?page=1")
    assert (reply.status, reply.headers["Location"]) == (303, "/runs?page=1")
    told = reply.headers["Set-Cookie"]
    assert "HttpOnly" in told and "SameSite=Lax" in told and tokens["viewer"] not in told
    cookie = cookie_of(reply)
    page = room.ask("/runs", Cookie=cookie)
    assert page.status == 200 and "the-viewer" in page.text
    key = room.form_key("/runs", Cookie=cookie)
    assert room.ask("/leave", {"form_key": key}, Cookie=cookie).status == 303
    assert room.ask("/runs", Cookie=cookie).status == 401


def test_wrong_tokens_open_nothing(room: Room, tokens: dict[str, str]) -> None:
    for token in ("", "cxr_nobody", tokens["viewer"][:-1], "\ud800", "x" * 5000):
        reply = enter(room, token.encode("utf-8", "replace").decode())
        assert reply.status == 403 and "Set-Cookie" not in reply.headers
    assert room.ask("/runs", Cookie=f"{COOKIE}=guessed").status == 401
    assert room.ask("/runs", Authorization="Bearer cxr_nobody").status == 401
    assert room.ask("/runs", Authorization=f"Bearer {tokens['viewer']}").status == 200


def test_a_token_that_is_taken_out_ends_its_sessions(house: House, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    add_token(path, "stays", Role.VIEWER)
    kept = path.read_text()
    token = add_token(path, "goes", Role.VIEWER)
    with open_room(house.root, token_file=path) as room:
        cookie = cookie_of(enter(room, token))
        assert room.ask("/runs", Cookie=cookie).status == 200
        path.write_text(kept)
        assert room.ask("/runs", Cookie=cookie).status == 401


def test_a_tls_proxy_makes_the_cookie_secure(house: House, tokens: dict[str, str]) -> None:
    with open_room(house.root, token_file=Path(tokens["file"]), tls=True) as room:
        reply = enter(room, tokens["viewer"])
        assert "Secure" in reply.headers["Set-Cookie"]
        assert reply.headers["Strict-Transport-Security"]


# Roles.


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/serving/reload", "operator"),
        (f"/champions/{ABILITY}/promote", "promoter"),
        (f"/champions/{ABILITY}/rollback", "promoter"),
    ],
)
def test_acts_take_their_role(room: Room, tokens: dict[str, str], path: str, least: str) -> None:
    order = [str(role) for role in Role]
    for role in order[: order.index(least)]:
        reply = room.ask(path, {"version": "1"}, Authorization=f"Bearer {tokens[role]}")
        assert reply.status == 403 and f"this takes a {least}" in reply.text
    reply = room.ask(path, {"version": "x"}, Authorization=f"Bearer {tokens[least]}")
    assert reply.status in (400, 409, 503)  # let in, and refused for what was asked


def test_pages_show_acts_to_those_who_may(room: Room, tokens: dict[str, str]) -> None:
    seen = {
        role: room.ask(f"/champions/{ABILITY}", Authorization=f"Bearer {tokens[role]}").text
        for role in map(str, Role)
    }
    assert ["Judge and promote" in seen[role] for role in map(str, Role)] == [False, False, True]


# Other sites, other names.


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_forms_of_other_sites_are_refused(
    room: Room, local: Room, tokens: dict[str, str], headers: dict[str, str]
) -> None:
    assert enter(room, tokens["viewer"], **headers).status == 403
    key = local.form_key()
    for path in (f"/champions/{ABILITY}/rollback", "/ask", "/draw"):
        assert (
            local.ask(path, {"form_key": key, "text": "x", "question": "y"}, **headers).status
            == 403
        )


def test_a_form_needs_the_key_of_this_very_session(
    room: Room, local: Room, tokens: dict[str, str]
) -> None:
    one, other = (cookie_of(enter(room, tokens["promoter"])) for _ in range(2))
    path, key = f"/champions/{ABILITY}/rollback", room.form_key("/ask", Cookie=other)
    for told in ({}, {"form_key": ""}, {"form_key": key}, {"form_key": "é"}):
        assert room.ask(path, told, Cookie=one).status == 403, told
    own = room.form_key("/ask", Cookie=one)
    assert own != key
    assert room.ask(path, {"form_key": own}, Cookie=one).status == 409  # there is no earlier one
    assert local.ask(path, {}).status == 403


def test_a_strangers_name_that_leads_here_is_refused(room: Room, local: Room) -> None:
    for host in (
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "[::1].evil",
        "a b",
        "",
    ):
        assert local.ask("/", Host=host).status in (400, 403), host
        assert room.ask("/health", Host=host).status in (400, 403), host
    for host in ("localhost", "127.0.0.1:8090", "[::1]:1"):
        assert local.ask("/", Host=host).status == 200
    for host in (NAME, f"{NAME}:443", "192.0.2.7"):
        assert room.ask("/health", Host=host).status == 200
    assert local.ask("/", Host=NAME).status == 403


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("/runs?page=2", "/runs?page=2"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("/é", "/"),
        ("", "/"),
    ],
)
def test_one_goes_on_to_our_own_pages_alone(to: str, place: str) -> None:
    assert local_path(to) == place


def test_headers_cannot_be_written_by_what_is_asked(room: Room, tokens: dict[str, str]) -> None:
    for to in ("/a%0d%0aX-Evil:%201", "/a\r\nX-Evil: 1"):
        reply = enter(room, tokens["viewer"], to)
        assert "X-Evil" not in reply.headers
    reply = room.ask("/champions/a%0d%0aX-Evil:%201", Authorization=f"Bearer {tokens['viewer']}")
    assert reply.status == 404 and "X-Evil" not in reply.headers


# What logs hold.


def test_no_log_holds_a_token_a_report_or_an_id(
    room: Room, house: House, tokens: dict[str, str], logged: io.StringIO
) -> None:
    bearer = {"Authorization": f"Bearer {tokens['promoter']}"}
    cookie = cookie_of(enter(room, tokens["viewer"]))
    shown = room.ask(f"/cases/{house.scores}/case?example=e0006", **bearer).text
    assert CANARY.partition("silhouette ")[2] in shown
    room.ask(f"/cases/{house.scores}/case?example=nobody-{CANARY.split()[0]}", **bearer)
    room.ask("/ask", {"question": CANARY}, **bearer)
    room.ask("/enter", {"token": "cxr_wrong-secret"})
    told = logged.getvalue()
    assert "the-promoter GET /cases/{name}/case 200" in told
    secrets = [*tokens.values(), cookie.partition("=")[2], "cxr_wrong-secret"]
    for word in [*secrets, CANARY, CANARY.split()[0], "s0006", "e0006", "nobody-"]:
        assert word not in told


def test_a_guard_does_not_print_its_secrets(tokens: dict[str, str]) -> None:
    guard = Guard("127.0.0.1", TokenFile(Path(tokens["file"])))
    entered = guard.enter(tokens["viewer"])
    assert entered is not None
    assert tokens["viewer"] not in repr(guard) and "_secret" not in repr(guard)
