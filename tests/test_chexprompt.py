"""A judge's answer: its shape, its prompt and its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from llm_world import QUICK, Script, completion, scripted_server
from pydantic import SecretStr, ValidationError

from evaluation.chexprompt import KINDS, ErrorCounts, kind_counts
from evaluation.chexprompt_prompt import JUDGE
from evaluation.judged import CATEGORIES, read_judged
from infra.egress import Egress, Guarantee
from infra.errors import EgressRefused, LanguageModelError
from infra.llm import Client, Endpoint
from infra.llm.request import strict_schema
from tasks.reports import offline_judge
from tasks.reports.offline_server import offline_server
from tasks.score import judge as judge_module
from tasks.score.judge import JUDGEMENT_SCHEMA, PAIR_SCHEMA, judge_pairs

ZERO = dict.fromkeys(KINDS, 0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with offline_server() as place:
        yield place


def pairs(*rows: tuple[str, str]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "example_id": f"e{index}",
                "control": "none",
                "source": "openi",
                "prediction": prediction,
                "reference": reference,
            }
            for index, (reference, prediction) in enumerate(rows)
        ],
        schema=PAIR_SCHEMA,
    )


def never(_: str) -> Egress:
    return Egress.NEVER


def answer(**significant: int) -> dict[str, Any]:
    counts = ErrorCounts(significant=kind_counts(**significant), insignificant=kind_counts())
    return completion(counts.model_dump_json())


def test_there_are_six_kinds_in_the_tables_order() -> None:
    assert len(KINDS) == len(CATEGORIES) == 6
    assert list(kind_counts().model_dump()) == list(KINDS)
    assert offline_judge.KINDS == KINDS
    assert kind_counts(omission_finding=2).counts() == [0, 2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "tier",
    [
        {**ZERO, "omission_finding": -1},
        {**ZERO, "omission_finding": 100},
        {**ZERO, "omission_finding": "some"},
        {**ZERO, "spelling": 1},
        dict.fromkeys(KINDS[1:], 0),
        None,
    ],
)
def test_an_answer_has_all_counts_and_no_others(tier: Any) -> None:
    with pytest.raises(ValidationError):
        ErrorCounts.model_validate({"significant": tier, "insignificant": ZERO})


def test_the_schema_on_the_wire_is_strict() -> None:
    schema = strict_schema(ErrorCounts)
    assert schema["required"] == ["significant", "insignificant"]
    assert schema["$defs"]["KindCounts"]["required"] == list(KINDS)
    assert schema["$defs"]["KindCounts"]["additionalProperties"] is False


def test_the_examples_show_every_kind_and_both_tiers() -> None:
    shown = {
        (tier, kind)
        for _, counts in JUDGE.examples
        for tier, kinds in counts.model_dump().items()
        for kind, count in kinds.items()
        if count
    }
    assert {kind for _, kind in shown} == set(KINDS)
    assert {tier for tier, _ in shown} == {"significant", "insignificant"}


@pytest.mark.parametrize("number", range(len(JUDGE.examples)))
def test_the_offline_judge_agrees_with_the_prompts_examples(number: int) -> None:
    payload, expected = JUDGE.examples[number]
    assert offline_judge.judge(dict(payload)) == expected.model_dump()


def test_pairs_become_rows_that_the_scores_read(endpoint: Endpoint, tmp_path: Path) -> None:
    table = pairs(
        ("Small left effusion.", "Small right effusion."),
        ("Clear lungs.", "Lungs are clear."),
    )
    with Client(endpoint, tmp_path, QUICK) as client:
        judged = judge_pairs(table, ["offline-rules"], client, never)
    assert judged.schema.equals(JUDGEMENT_SCHEMA)
    rows = judged.to_pylist()
    assert rows[0]["significant"] == [0, 0, 1, 0, 0, 0]
    assert rows[1]["significant"] == rows[1]["insignificant"] == [0] * 6
    assert {row["judge"] for row in rows} == {"offline-rules"}
    assert {row["judge_version"] for row in rows} == {"chexprompt-1"}
    assert [row["failure"] for row in rows] == [None, None]
    (read,) = read_judged(judged, {"e0": 0, "e1": 1})
    assert sum(read.failures.values()) == 0


def test_equal_pairs_are_asked_once_per_judge(tmp_path: Path) -> None:
    script = Script(lambda *_: (200, answer(incorrect_severity=1)))
    table = pairs(("A.", "B."), ("A.", "B."), ("A. ", " B."), ("B.", "A."))
    with scripted_server(script) as place, Client(place, tmp_path, QUICK) as client:
        judged = judge_pairs(table, ["one", "two"], client, never)
    assert len(script.bodies) == 4
    assert judged["judge"].to_pylist() == ["one"] * 4 + ["two"] * 4
    assert judged["example_id"].to_pylist() == ["e0", "e1", "e2", "e3"] * 2
    assert judged["significant"].to_pylist() == [[0, 0, 0, 1, 0, 0]] * 8


def test_a_pair_is_paid_once_for_each_judge_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(lambda *_: (200, answer(incorrect_severity=1)))
    table = pairs(("A.", "B."), ("C.", "D."))
    with scripted_server(script) as place:

        def asked(table: pa.Table, *judges: str) -> int:
            """Requests that reach the server, by a client of its own each time."""
            before = len(script.bodies)
            with Client(place, tmp_path, QUICK) as client:
                judge_pairs(table, judges, client, never)
            return len(script.bodies) - before

        assert asked(table, "one") == 2
        assert asked(table, "one") == 0
        assert asked(pairs(("A.", "B."), ("C.", "changed")), "one") == 1
        assert asked(pairs(("changed", "B."), ("C.", "D.")), "one") == 1
        assert asked(table, "one", "two") == 2
        monkeypatch.setattr(judge_module, "JUDGE", replace(JUDGE, version="chexprompt-next"))
        assert asked(table, "one") == 2


def test_who_answered_is_kept_beside_who_was_asked(endpoint: Endpoint, tmp_path: Path) -> None:
    with Client(endpoint, tmp_path, QUICK) as client:
        judged = judge_pairs(pairs(("A.", "B.")), ["gpt-4"], client, never)
    assert judged.to_pylist()[0]["judge"] == "gpt-4"
    assert judged.to_pylist()[0]["answered_by"] == "offline-rules"


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (completion(None, refusal="no"), "refused"),
        (completion("two errors, I would say"), "invalid"),
        (completion('{"significant": {', "length"), "truncated"),
        (completion("", "content_filter"), "content-filter"),
    ],
)
def test_refused_and_unreadable_answers_are_rows(
    tmp_path: Path, reply: dict[str, Any], failure: str
) -> None:
    def script(_: int, body: dict[str, Any]) -> tuple[int, Any]:
        bad = '"prediction": "bad"' in body["messages"][-1]["content"] or (
            len(body["messages"]) > 2 + 2 * len(JUDGE.examples)
        )
        return (200, reply) if bad else (200, answer())

    table = pairs(("A.", "bad"), ("A.", "good"))
    with scripted_server(Script(script)) as place, Client(place, tmp_path, QUICK) as client:
        judged = judge_pairs(table, ["one"], client, never)
    first, second = judged.to_pylist()
    assert (first["failure"], first["significant"], first["insignificant"]) == (failure, None, None)
    assert second["failure"] is None
    (read,) = read_judged(judged, {"e0": 0, "e1": 1})
    assert read.failures == {failure: 1}


def test_a_judge_out_of_reach_is_an_error_not_a_score(tmp_path: Path) -> None:
    script = Script(lambda *_: (503, {"error": {}}))
    with (
        scripted_server(script) as place,
        Client(place, tmp_path, QUICK) as client,
        pytest.raises(LanguageModelError, match=r"1 requests got no answer \(status-503 1\)"),
    ):
        judge_pairs(pairs(("A.", "B.")), ["one"], client, never)


def test_references_of_gated_sources_do_not_leave(tmp_path: Path) -> None:
    far = Endpoint("http://llm.example/v1", SecretStr("k"), Guarantee.NONE)
    with Client(far, tmp_path, QUICK) as client, pytest.raises(EgressRefused, match="openi"):
        judge_pairs(pairs(("A.", "B.")), ["gpt-4"], client, never)


def test_no_pairs_no_rows(endpoint: Endpoint, tmp_path: Path) -> None:
    with Client(endpoint, tmp_path, QUICK) as client:
        assert judge_pairs(pairs(), ["offline-rules"], client, never).num_rows == 0
