"""The client against servers of good and bad manners."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from cli_world import Say
from llm_world import GOOD, QUICK, Reply, Script, Verdict, completion, question, scripted_server

from infra.errors import LanguageModelError
from infra.llm import Answer, AnswerStatus, Client, raise_unreached
from infra.llm.audit import AUDIT_FILE
from infra.llm.status import read_status

SECRET = "the patient swallowed a golden ring"


def ask(tmp_path: Path, script: Script, texts: list[str]) -> list[Answer]:
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        return client.complete_many([question(text) for text in texts])


def failure(status: int, code: str = "", message: str = "") -> Reply:
    return status, {"error": {"message": message or SECRET, "code": code}}


def test_answers_come_in_order_and_validated(tmp_path: Path) -> None:
    def reply(_: int, body: dict[str, Any]) -> Reply:
        word = body["messages"][0]["content"]
        return 200, completion(json.dumps({"word": word, "number": len(word)}))

    texts = [f"text {'x' * (index % 7)} {index}" for index in range(40)]
    answers = ask(tmp_path, Script(reply), texts)
    assert [item.value for item in answers] == [Verdict(word=t, number=len(t)) for t in texts]
    assert {(a.status, a.model, a.input_tokens, a.output_tokens) for a in answers} == {
        (AnswerStatus.OK, "scripted-2024-01-01", 11, 5)
    }


def test_the_body_on_the_wire(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    ask(tmp_path, script, ["a"])
    body = script.bodies[0]
    assert script.paths == ["/v1/chat/completions"]
    assert body["response_format"]["json_schema"]["name"] == "verdict"
    assert body["response_format"]["json_schema"]["strict"] is True
    del body["response_format"]
    assert body == {
        "model": "scripted",
        "messages": [{"role": "user", "content": "a"}],
        "temperature": 0.0,
        "max_tokens": 50,
        "seed": 7,
    }


def test_equal_requests_are_sent_once_and_never_again(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    first = ask(tmp_path, script, ["a", "b", "a", "a"])
    assert len(script.bodies) == 2
    second = ask(tmp_path, script, ["a", "b"])
    assert len(script.bodies) == 2
    assert [item.cached for item in first] == [False] * 4
    assert [item.cached for item in second] == [True] * 2
    assert second[0].value == first[0].value


def test_one_edited_row_costs_one_request(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    texts = [f"report {index}" for index in range(50)]
    ask(tmp_path, script, texts)
    ask(tmp_path, script, [*texts[:20], "edited", *texts[21:]])
    assert len(script.bodies) == 51


def test_usage_counts_what_was_paid_now(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("a"), question("b")])
        client.complete_many([question("b")])
        assert (client.usage.sent, client.usage.replayed) == (2, 1)
        assert (client.usage.input_tokens, client.usage.output_tokens) == (22, 10)


def test_progress_tells_what_is_sent(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("a")])
        client.complete_many(
            [question("a"), question("b"), question("c")], lambda *now: seen.append(now)
        )
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "first",
    [
        failure(429),
        failure(500),
        failure(503),
        failure(408),
        (200, "{ cut off"),
        (200, {"choices": []}),
        (200, "[]"),
        (429, {"error": {}}, {"retry-after": "0.02"}),
        (429, {"error": {}}, {"retry-after-ms": "20"}),
        (503, {"error": {}}, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ],
)
def test_what_may_pass_is_tried_again(tmp_path: Path, first: Reply) -> None:
    script = Script(lambda index, _: first if index == 0 else (200, GOOD))
    answers = ask(tmp_path, script, ["a"])
    assert (answers[0].status, len(script.bodies)) == (AnswerStatus.OK, 2)
    [counted] = read_status(tmp_path).work
    assert (counted.retried, counted.rate_limited) == (1, int(first[0] == 429))


def test_retry_after_is_honoured_by_all(tmp_path: Path) -> None:
    started = time.monotonic()

    def reply(index: int, _: dict[str, Any]) -> Reply:
        if index == 0:
            return 429, {"error": {}}, {"retry-after": "0.5"}
        return 200, GOOD

    ask(tmp_path, Script(reply), ["a"])
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (failure(502), "status-502"),
        ((200, "<html>"), "malformed-response"),
    ],
)
def test_what_never_passes_is_told_and_not_stored(
    tmp_path: Path, reply: Reply, detail: str
) -> None:
    script = Script(lambda *_: reply)
    (answer,) = ask(tmp_path, script, ["a"])
    assert (answer.status, answer.detail) == (AnswerStatus.UNREACHED, detail)
    assert len(script.bodies) == QUICK.attempts
    with pytest.raises(LanguageModelError) as caught:
        raise_unreached([answer, answer])
    assert str(caught.value) == (
        f"2 requests got no answer ({detail} 2); finished answers are kept and cost nothing "
        "again: run it again"
    )
    ask(tmp_path, script, ["a"])
    assert len(script.bodies) == 2 * QUICK.attempts


def test_a_server_that_is_not_there_is_unreached(tmp_path: Path) -> None:
    with scripted_server(Script(lambda *_: (200, GOOD))) as endpoint:
        pass
    with Client(endpoint, tmp_path, QUICK) as client:
        (answer,) = client.complete_many([question("a")])
    assert (answer.status, answer.detail) == (AnswerStatus.UNREACHED, "connection")


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ((200, completion(None, refusal="I will not.")), AnswerStatus.REFUSED),
        ((200, completion('{"word": "cl', "length")), AnswerStatus.TRUNCATED),
        ((200, completion("", "content_filter")), AnswerStatus.CONTENT_FILTER),
    ],
)
def test_final_answers_are_paid_once_and_asked_again_on_demand(
    tmp_path: Path, reply: Reply, status: AnswerStatus, cxr: Say
) -> None:
    script, state = Script(lambda *_: reply), tmp_path / ".state"
    (answer,) = ask(state, script, ["a"])
    assert (answer.status, answer.value) == (status, None)
    ask(state, script, ["a"])
    assert len(script.bodies) == 1
    said = cxr("llm", "retry", "--data-root", tmp_path)
    assert said.out.startswith("1 requests will be asked again")
    ask(state, script, ["a"])
    assert len(script.bodies) == 2


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (failure(400, "content_filter"), AnswerStatus.CONTENT_FILTER),
        (failure(400, "context_length_exceeded"), AnswerStatus.CONTEXT_LENGTH),
        (
            failure(400, "", "This model's maximum context length is 8192"),
            AnswerStatus.CONTEXT_LENGTH,
        ),
        (failure(413), AnswerStatus.CONTEXT_LENGTH),
    ],
)
def test_declined_requests_are_final(tmp_path: Path, reply: Reply, status: AnswerStatus) -> None:
    script = Script(lambda *_: reply)
    (answer,) = ask(tmp_path, script, ["a"])
    assert (answer.status, len(script.bodies)) == (status, 1)


def test_an_answer_of_another_shape_is_asked_again_without_its_words(tmp_path: Path) -> None:
    bad = completion(json.dumps({"word": 3, "surplus": SECRET}))
    script = Script(lambda index, _: (200, bad if index < 2 else GOOD))
    (answer,) = ask(tmp_path, script, ["a"])
    assert (answer.status, len(script.bodies)) == (AnswerStatus.OK, 3)
    assert (answer.input_tokens, answer.output_tokens) == (33, 15)
    complaint = script.bodies[1]["messages"][2]["content"]
    assert '{"at": "word", "problem": "string_type"}' in complaint
    assert SECRET not in complaint


def test_an_answer_that_never_fits_is_invalid_and_stored(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, completion("I think the lungs are clear")))
    (answer,) = ask(tmp_path, script, ["a"])
    assert (answer.status, len(script.bodies)) == (AnswerStatus.INVALID, QUICK.asks)
    ask(tmp_path, script, ["a"])
    assert len(script.bodies) == QUICK.asks


@pytest.mark.parametrize(
    "content",
    [
        '```json\n{"word": "clear", "number": null}\n```',
        'Here it is: {"word": "clear", "number": null}',
    ],
)
def test_json_inside_other_words_is_found(tmp_path: Path, content: str) -> None:
    (answer,) = ask(tmp_path, Script(lambda *_: (200, completion(content))), ["a"])
    assert answer.value == Verdict(word="clear", number=None)


def test_servers_without_schemas_are_asked_in_json_mode_from_then_on(tmp_path: Path) -> None:
    def reply(_: int, body: dict[str, Any]) -> Reply:
        if body["response_format"]["type"] == "json_schema":
            return failure(400, "", "response_format json_schema is unknown here")
        return 200, GOOD

    script = Script(reply)
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("a")])
        client.complete_many([question("b")])
    kinds = [body["response_format"]["type"] for body in script.bodies]
    assert kinds == ["json_schema", "json_object", "json_object"]
    assert '"required":["word","number"]' in script.bodies[1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            failure(401, "invalid_api_key"),
            "answered status 401 invalid_api_key for model 'scripted'",
        ),
        (
            failure(404, "model_not_found"),
            "answered status 404 model_not_found for model 'scripted'",
        ),
        (failure(429, "insufficient_quota"), "has no quota left"),
    ],
)
def test_a_wrong_key_or_model_stops_everything_and_keeps_what_was_paid(
    tmp_path: Path, reply: Reply, message: str
) -> None:
    script = Script(lambda index, _: (200, GOOD) if index < 3 else reply)
    with pytest.raises(LanguageModelError) as caught:
        ask(tmp_path, script, [f"t{index}" for index in range(60)])
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(script.bodies) <= 3 + QUICK.concurrency
    good = Script(lambda *_: (200, GOOD))
    ask(tmp_path, good, [f"t{index}" for index in range(60)])
    assert len(good.bodies) == 57


def test_no_text_in_the_log_or_on_the_console(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    script = Script(lambda index, _: failure(500) if index == 0 else (200, GOOD))
    ask(tmp_path, script, [SECRET])
    shown = "".join(capfd.readouterr()) + caplog.text + (tmp_path / AUDIT_FILE).read_text()
    assert "golden ring" not in shown
    assert "key-1" not in shown


def test_every_request_sent_is_in_the_audit_log(tmp_path: Path) -> None:
    script = Script(lambda index, _: (200, GOOD) if index else failure(413))
    ask(tmp_path, script, ["a", "b", "a"])
    ask(tmp_path, script, ["a", "b", "c"])
    lines = [json.loads(line) for line in (tmp_path / AUDIT_FILE).read_text().splitlines()]
    assert sum(line["event"] == "sent" for line in lines) == 3
    outcomes = sorted(line["outcome"] for line in lines if line["event"] == "answered")
    assert outcomes == ["context-length", "ok", "ok"]


def test_azure_puts_the_deployment_into_the_path(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, GOOD))
    with scripted_server(script) as plain:
        from dataclasses import replace

        endpoint = replace(plain, base_url=plain.base_url.removesuffix("/v1"), kind="azure")
        with Client(endpoint, tmp_path, QUICK) as client:
            client.complete_many([question("a")])
    assert script.paths == ["/openai/deployments/scripted/chat/completions?api-version=2024-10-21"]
    assert script.bodies[0]["max_completion_tokens"] == 50
