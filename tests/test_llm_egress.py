"""Text that may not leave does not leave: not one byte reaches a listening socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_world import GOOD, QUICK, Script, question, scripted_server
from pydantic import SecretStr

from infra.egress import Egress, Guarantee, is_loopback
from infra.errors import EgressRefused, SettingsError
from infra.llm import Client, Endpoint
from infra.llm.audit import AUDIT_FILE
from infra.llm.transport import _may_use_proxy
from sources.catalog import catalog


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A socket that keeps whatever it is sent; its URL is no loopback address by name."""
    received: list[bytes] = []
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    received.append(connection.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield f"http://{socket.gethostname()}:{server.getsockname()[1]}/v1", received
        finally:
            stop.set()
            thread.join()


def test_a_never_source_sends_no_byte_to_a_remote_endpoint(tmp_path: Path) -> None:
    with listener() as (url, received):
        endpoint = Endpoint(url, SecretStr("k"), Guarantee.ZERO_RETENTION)
        with (
            Client(endpoint, tmp_path, QUICK) as client,
            pytest.raises(EgressRefused, match="for source padchest; expected an endpoint"),
        ):
            client.complete_many(
                [
                    question("open text", source="openi", egress=Egress.ANY),
                    question("gated text", source="padchest", egress=Egress.NEVER),
                ]
            )
    assert received == []
    assert (tmp_path / AUDIT_FILE).read_text() == ""


def test_the_listener_would_have_heard(tmp_path: Path) -> None:
    with listener() as (url, received):
        endpoint = Endpoint(url, SecretStr("k"), Guarantee.NONE)
        with Client(endpoint, tmp_path, QUICK) as client:
            client.complete_many([question("open text", egress=Egress.ANY)])
    assert received


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with listener() as (url, received):
        elsewhere = {"location": f"{url}/chat/completions"}
        script = Script(lambda *_: (307, {"error": {}}, elsewhere))
        with (
            scripted_server(script) as endpoint,
            Client(endpoint, tmp_path, QUICK) as client,
            pytest.raises(Exception, match="answered status 307"),
        ):
            client.complete_many([question("gated text", egress=Egress.NEVER)])
    assert received == []


def test_no_proxy_stands_before_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as (url, received):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        with (
            scripted_server(Script(lambda *_: (200, GOOD))) as endpoint,
            Client(endpoint, tmp_path, QUICK) as client,
        ):
            client.complete_many([question("gated text", egress=Egress.NEVER)])
    assert received == []


HOSTS = ("api.openai.com", "127.0.0.1", "localhost", "[::1]", "127.0.0.1.evil.org", "10.0.0.7")


@given(
    source=st.sampled_from(sorted(catalog())),
    host=st.sampled_from(HOSTS),
    guarantee=st.sampled_from(list(Guarantee)),
)
def test_who_may_send_where(source: str, host: str, guarantee: Guarantee) -> None:
    rule = catalog()[source].card.llm_egress
    endpoint = Endpoint(f"http://{host}/v1", SecretStr("k"), guarantee)
    near = host in ("127.0.0.1", "localhost", "[::1]")
    admitted = {
        Egress.ANY: True,
        Egress.ZERO_RETENTION: near or guarantee is not Guarantee.NONE,
        Egress.NEVER: near or guarantee is Guarantee.LOCAL,
    }[rule]
    assert endpoint.is_loopback is near
    if admitted:
        endpoint.admit(source, rule)
    else:
        with pytest.raises(EgressRefused):
            endpoint.admit(source, rule)


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("mimic_cxr", Egress.ZERO_RETENTION),
        ("vindr_cxr", Egress.ZERO_RETENTION),
        ("brax", Egress.ZERO_RETENTION),
        ("chexpert", Egress.NEVER),
        ("padchest", Egress.NEVER),
        ("candid_ptx", Egress.NEVER),
        ("object_cxr", Egress.NEVER),
        ("manifest", Egress.NEVER),
        ("openi", Egress.ANY),
        ("nih_cxr14", Egress.ANY),
    ],
)
def test_the_cards_say_what_may_leave(source: str, rule: Egress) -> None:
    if source not in catalog():
        pytest.skip(f"source {source} is not in the catalogue yet")
    assert catalog()[source].card.llm_egress is rule


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://host/v1", "http:///v1"])
def test_an_endpoint_needs_an_address(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Endpoint(url, SecretStr("k"))
    assert str(caught.value) == (
        f"found language model URL '{url}'; expected http(s)://host[:port]/v1; set CXR_LLM_BASE_URL"
    )


def test_the_host_is_named_without_credentials() -> None:
    endpoint = Endpoint("https://user:word@llm.example:8443/v1", SecretStr("k"))
    assert endpoint.host == "llm.example:8443"
    assert "k'" not in repr(endpoint)


@pytest.mark.parametrize("url", ["http://127.0.0.1.evil.org/v1", "http://localhost.evil.org", ""])
def test_names_that_only_look_like_loopback(url: str) -> None:
    assert not is_loopback(url)


@pytest.mark.parametrize(
    ("url", "guarantee", "may"),
    [
        ("http://127.0.0.1:9/v1", Guarantee.NONE, False),
        ("https://localhost:9/v1", Guarantee.NONE, False),
        ("http://llm.hospital.example/v1", Guarantee.LOCAL, False),
        ("https://llm.hospital.example/v1", Guarantee.LOCAL, False),
        ("http://llm.example/v1", Guarantee.ZERO_RETENTION, False),
        ("https://llm.example/v1", Guarantee.ZERO_RETENTION, True),
        ("https://llm.example/v1", Guarantee.NONE, True),
    ],
)
def test_a_proxy_may_only_stand_where_it_reads_nothing(
    url: str, guarantee: Guarantee, may: bool
) -> None:
    """The guard judged the endpoint's host; a proxy of the environment is another one."""
    assert _may_use_proxy(Endpoint(url, SecretStr("key"), guarantee)) is may
