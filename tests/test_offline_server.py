"""The offline server over HTTP: OpenAI's wire format, its own name, and faults on demand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_world import QUICK

from infra.egress import Egress, Guarantee
from infra.llm import AnswerStatus, ChatRequest, Client, Endpoint, Limits
from tasks.reports.offline_answers import MODEL, answer_question
from tasks.reports.offline_server import Faults, offline_server
from tasks.reports.prompts import STRUCTURE, SYNTHESIZE, TRANSLATE, TranslatedReport

PATIENT = Limits(
    concurrency=16, attempts=12, asks=9, timeout_s=5, first_wait_s=0.01, longest_wait_s=0.05
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with offline_server() as place:
        yield place


def translation(text: str) -> ChatRequest:
    payload = {"language": "es", "sections": {"findings": text}}
    return ChatRequest(
        source="padchest",
        egress=Egress.NEVER,
        model=MODEL,
        messages=TRANSLATE.messages(payload),
        answer=TranslatedReport,
        prompt_version=TRANSLATE.version,
        temperature=0.0,
        seed=0,
        max_output_tokens=200,
    )


def post(endpoint: Endpoint, body: Any) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{endpoint.base_url}/chat/completions", data)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_it_lists_its_one_model(endpoint: Endpoint) -> None:
    with urllib.request.urlopen(f"{endpoint.base_url}/models", timeout=5) as reply:
        listed = json.loads(reply.read())
    assert [item["id"] for item in listed["data"]] == ["offline-rules"]
    assert endpoint.guarantee is Guarantee.LOCAL


def test_it_speaks_the_wire_format_and_signs_every_answer(endpoint: Endpoint) -> None:
    messages = [{"role": "user", "content": '{"sections": {"findings": "cardiomegali ."}}'}]
    shape = {"type": "json_schema", "json_schema": {"name": "translated_report"}}
    status, body = post(
        endpoint, {"model": "gpt-4", "messages": messages, "response_format": shape}
    )
    assert status == 200
    assert body["model"] == "offline-rules"
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert json.loads(body["choices"][0]["message"]["content"])["findings"] == "Cardiomegaly."
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_words_in_parts_are_the_same_question(endpoint: Endpoint) -> None:
    whole = '{"sections": {"findings": "cardiomegali ."}}'
    shape = {"type": "json_schema", "json_schema": {"name": "translated_report"}}
    parts = [{"type": "text", "text": whole[:9]}, {"type": "text", "text": whole[9:]}]
    answers = [
        post(
            endpoint,
            {"messages": [{"role": "user", "content": content}], "response_format": shape},
        )[1]
        for content in (whole, parts)
    ]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert answers[0]["usage"] == answers[1]["usage"]


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        {},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": []},
        {"messages": [{"role": "user", "content": "hello"}]},
        {"messages": [{"role": "user", "content": "{}"}], "response_format": {}},
        {
            "messages": [{"role": "user", "content": "{}"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "poem"}},
        },
    ],
)
def test_what_it_does_not_know_is_a_client_error(endpoint: Endpoint, body: Any) -> None:
    status, answer = post(endpoint, body)
    assert status == 400
    assert answer["error"]["message"].endswith("not a question these rules know")


@pytest.mark.parametrize(
    ("prompt", "payload"),
    [
        (STRUCTURE, {"report": "FINDINGS: Clear lungs."}),
        (TRANSLATE, {"language": "es", "sections": {"findings": "cardiomegali ."}}),
        (SYNTHESIZE, {"facts": [{"name": "Edema", "value": "positive"}]}),
    ],
)
def test_json_mode_names_the_shape_in_the_prompt(prompt: Any, payload: dict[str, Any]) -> None:
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages(payload)]
    with_schema = {"type": "json_schema", "json_schema": {"name": ""}}
    bare = {"messages": messages, "response_format": {"type": "json_object"}}
    text = answer_question(bare)
    prompt.answer.model_validate_json(text)
    assert text == answer_question({**bare, "temperature": 1.0})
    with pytest.raises(KeyError):
        answer_question({"messages": messages, "response_format": with_schema})


def test_wording_varies_with_the_seed_alone() -> None:
    facts = {"facts": [{"name": name, "value": "positive"} for name in ("Edema", "Pneumonia")]}
    messages = [{"role": "system", "content": "shape synthesized_report."}]
    messages.append({"role": "user", "content": json.dumps(facts)})
    texts = {answer_question({"messages": messages, "seed": seed}) for seed in range(20)}
    assert len(texts) > 3
    assert answer_question({"messages": messages, "seed": 3}) in texts


def test_it_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os\n"
        "from tasks.reports.offline_server import offline_server\n"
        "with offline_server() as place:\n"
        "    os.write(1, place.base_url.encode())\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -9
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{killed.stdout}/models", timeout=1).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the server outlived its parent by 10 s")


@pytest.mark.parametrize(
    "faults",
    [
        Faults(share_429=0.3),
        Faults(share_429=0.3, retry_after_s=0.01),
        Faults(share_500=0.3, share_truncated_body=0.2),
        Faults(share_reset=0.3),
        Faults(share_wrong_schema=0.3),
        Faults(no_schemas=True),
    ],
    ids=["429", "429-retry-after", "500-cut-body", "reset", "wrong-schema", "no-schemas"],
)
def test_faults_that_pass_lose_nothing(tmp_path: Path, faults: Faults) -> None:
    with offline_server(faults) as place, Client(place, tmp_path, PATIENT) as client:
        answers = client.complete_many([translation(f"nodul de {n} mm .") for n in range(60)])
    found = [answer.value.findings for answer in answers]  # type: ignore[union-attr]
    assert found == [f"Nodule of {n} mm." for n in range(60)]


def test_faults_that_stay_are_counted(tmp_path: Path) -> None:
    faults = Faults(share_refused=0.25, share_truncated_answer=0.25, seed=5)
    with offline_server(faults) as place, Client(place, tmp_path, QUICK) as client:
        answers = client.complete_many([translation(f"nodul de {n} mm .") for n in range(80)])
    counts = Counter(answer.status for answer in answers)
    assert counts.keys() == {AnswerStatus.OK, AnswerStatus.REFUSED, AnswerStatus.TRUNCATED}
    assert counts.total() == 80
    assert all(count >= 8 for count in counts.values())


def test_latency_overlaps(tmp_path: Path) -> None:
    with offline_server(Faults(latency_s=0.2)) as place, Client(place, tmp_path, PATIENT) as client:
        client.complete_many([translation("warm up .")])
        started = time.monotonic()
        client.complete_many([translation(f"nodul de {n} mm .") for n in range(48)])
        took = time.monotonic() - started
    assert 0.6 <= took < 48 * 0.2 / 2  # three waves of sixteen, not forty-eight in turn


def test_faults_are_drawn_by_body_and_try() -> None:
    faults = Faults(share_429=0.5, share_reset=0.5)
    drawn = [faults.draw(b"x%d" % n, 1) for n in range(400)]
    assert set(drawn) == {"429", "reset"}
    assert 140 < drawn.count("429") < 260
    assert drawn == [faults.draw(b"x%d" % n, 1) for n in range(400)]
    assert drawn != [faults.draw(b"x%d" % n, 2) for n in range(400)]
    assert Faults(latency_s=1.0).draw(b"x", 1) is None
