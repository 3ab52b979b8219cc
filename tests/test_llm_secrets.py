"""What must never leave or be shown, and what makes two requests one."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_faults_world import KEY, SECRET, audit_lines, one_answer
from llm_world import GOOD, QUICK, Script, completion, question, scripted_server
from pydantic import SecretStr

from infra.egress import Egress, Guarantee, check_egress, is_loopback, is_plain_url
from infra.errors import EgressRefused, SettingsError
from infra.llm import Client, Endpoint, Message
from infra.llm.audit import AUDIT_FILE, AuditLog
from infra.llm.transport import Misconfigured


@pytest.mark.parametrize("code", [SECRET, {"text": SECRET}, [SECRET], SECRET.replace(" ", "\n")])
def test_an_error_code_that_echoes_the_text_is_not_repeated(tmp_path: Path, code: Any) -> None:
    body = {"error": {"code": code, "message": SECRET}}
    with pytest.raises(Misconfigured) as caught:
        one_answer(tmp_path, lambda *_: (404, body))
    assert "Doe" not in str(caught.value)
    assert "answered status 404 for model 'scripted'" in str(caught.value)
    outcomes = [line.get("outcome") for line in audit_lines(tmp_path)]
    assert outcomes == [None, "misconfigured"]


@pytest.mark.parametrize(
    "reply",
    [(200, GOOD), (200, completion(SECRET)), (500, SECRET), (429, {"error": {"message": SECRET}})],
    ids=["good", "wrong", "500", "429"],
)
def test_neither_text_nor_key_is_ever_written_but_in_the_cache(
    tmp_path: Path, reply: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted_server(Script(lambda *_: reply)) as place:
        endpoint = replace(place, api_key=SecretStr(KEY))
        with Client(endpoint, tmp_path, replace(QUICK, attempts=2, patience_s=1)) as client:
            answers = client.complete_many([question(SECRET)])
            shown = repr((client.__dict__, endpoint, client.limits, answers[0].detail))
    printed = "".join(capfd.readouterr())
    for text in (caplog.text, printed, (tmp_path / AUDIT_FILE).read_text(), shown):
        assert "Doe" not in text and KEY not in text
    assert len(audit_lines(tmp_path)) == 2


LOGINS = ("https://user:pa55@host.org/v1", "ftp://user:pa55@host.org", "http://user:pa55@/v1")


@pytest.mark.parametrize("url", LOGINS)
def test_a_login_in_the_address_is_never_shown(url: str) -> None:
    try:
        endpoint = Endpoint(url, SecretStr(KEY))
    except SettingsError as error:
        assert "pa55" not in str(error) and "user" not in str(error)
        return
    assert repr(endpoint) == "Endpoint('host.org', none, openai)"
    with pytest.raises(EgressRefused) as caught:
        endpoint.admit("mimic_cxr", Egress.NEVER)
    assert "pa55" not in str(caught.value)


READ_IN_TWO_WAYS = (
    "http://evil.org\\@127.0.0.1/v1",
    "http://127.0.0.1\\@evil.org/v1",
    "http://127.0.0.1\t.evil.org/v1",
    "http://127.0.0.1 .evil.org/v1",
    "http://localhost\n/v1",
    "http://127.0.0.1:99999/v1",
    "http://127.0.0.1:port/v1",
    "http://[::1/v1",
    "http://ⓛocalhost/v1",
)


@pytest.mark.parametrize("url", READ_IN_TWO_WAYS)
def test_addresses_that_libraries_read_differently_are_refused(url: str) -> None:
    assert not is_plain_url(url)
    with pytest.raises(SettingsError, match=r"^found language model URL"):
        Endpoint(url, SecretStr(KEY))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(Egress),
    st.sampled_from(Guarantee),
    st.sampled_from(["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "0.0.0.0", "127.1", "a.org"]),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["", ":8000"]),
)
def test_the_rule_of_every_source_endpoint_and_guarantee(
    rule: Egress, guarantee: Guarantee, host: str, scheme: str, port: str
) -> None:
    url = f"{scheme}://{host}{port}/v1"
    here = host in ("127.0.0.1", "localhost", "[::1]")
    assert is_loopback(url) is here
    allowed = (
        here
        or guarantee is Guarantee.LOCAL
        or rule is Egress.ANY
        or (rule is Egress.ZERO_RETENTION and guarantee is Guarantee.ZERO_RETENTION)
    )
    try:
        check_egress("some_source", rule, url, guarantee)
    except EgressRefused as error:
        assert not allowed and "some_source" in str(error)
    else:
        assert allowed


def test_one_forbidden_source_among_many_keeps_all_at_home(tmp_path: Path) -> None:
    endpoint = Endpoint("http://host.invalid/v1", SecretStr(KEY))
    requests = [question(str(n)) for n in range(20)]
    requests[13] = replace(requests[13], source="mimic_cxr", egress=Egress.NEVER)
    with Client(endpoint, tmp_path, QUICK) as client:
        with pytest.raises(EgressRefused, match="mimic_cxr"):
            client.complete_many(requests)
        assert client.usage.sent == 0
    assert (tmp_path / AUDIT_FILE).read_text() == ""


ROLES = st.sampled_from(["system", "user", "assistant"])
IDENTITY_FIELDS = st.fixed_dictionaries(
    {
        "model": st.text(max_size=8),
        "prompt_version": st.text(max_size=8),
        "temperature": st.floats(0, 2),
        "seed": st.none() | st.integers(0, 9),
        "max_output_tokens": st.integers(1, 9),
        "messages": st.lists(
            st.builds(
                Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=6)
            ),
            max_size=3,
        ).map(tuple),
    }
)


@settings(max_examples=200, deadline=None)
@given(IDENTITY_FIELDS, IDENTITY_FIELDS)
def test_two_requests_are_one_if_and_only_if_they_ask_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = question("x", **one), question("x", **other)
    assert (first.identity() == second.identity()) is (one == other)
    assert question("x", source="brax", egress=Egress.NEVER, **one).identity() == first.identity()
    assert len(first.identity()) == 32


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=10), st.text(max_size=10), st.integers(0, 10))
def test_where_one_message_ends_is_part_of_the_identity(left: str, right: str, cut: int) -> None:
    joined = left + right
    parts = (joined[:cut], joined[cut:])
    one = question("x", messages=(Message("user", left), Message("user", right)))
    other = question("x", messages=tuple(Message("user", part) for part in parts))
    assert (one.identity() == other.identity()) is (parts == (left, right))


def test_a_temperature_may_be_written_as_a_whole_number() -> None:
    assert question("x", temperature=0).identity() == question("x", temperature=0.0).identity()


def test_closing_twice_closes_no_other_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "host", Guarantee.NONE)
    log.close()
    with (tmp_path / "other").open("w") as other:  # takes the number that became free
        log.close()
        other.write("still open")
    assert (tmp_path / "other").read_text() == "still open"


def test_the_audit_log_has_these_fields_and_no_others(tmp_path: Path) -> None:
    answer, _ = one_answer(tmp_path, lambda *_: (200, GOOD))
    sent, answered = audit_lines(tmp_path)
    assert set(sent) == {"at", "event", "source", "request", "model", "endpoint", "guarantee"}
    assert set(answered) == set(sent) - {"model"} | {"outcome", "input_tokens", "output_tokens"}
    assert sent["request"] == answered["request"] == answer.request_hash
    assert (answered["outcome"], answered["input_tokens"], answered["output_tokens"]) == (
        "ok",
        11,
        5,
    )
    assert sent["guarantee"] == "none" and sent["source"] == "openi"
