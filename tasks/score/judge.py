"""Ask judges about pairs of reference and prediction: CheXprompt's calls, counted per pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from evaluation.chexprompt import ErrorCounts
from evaluation.chexprompt_prompt import JUDGE
from evaluation.judged import JUDGED_SCHEMA
from infra.egress import Egress
from infra.llm import Answer, ChatRequest, Client, raise_unreached

PAIR_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
    ]
)
"""The columns of ``predictions.parquet`` that a judge needs; its source's card says where the
texts may go."""

JUDGEMENT_SCHEMA = pa.schema(
    [
        *JUDGED_SCHEMA,
        pa.field("answered_by", pa.string(), nullable=False),
        pa.field("request_hash", pa.string(), nullable=False),
        pa.field("input_tokens", pa.int32(), nullable=False),
        pa.field("output_tokens", pa.int32(), nullable=False),
        pa.field("cost_usd", pa.float64()),
    ]
)
"""The scores' table of judged pairs, with who answered and what each answer took; ``answered_by``
is the name that the server gave itself."""

MAX_OUTPUT_TOKENS = 256
"""Twelve small numbers with their names are about 120 tokens."""


def judge_pairs(
    pairs: pa.Table,
    judges: Sequence[str],
    client: Client,
    egress: Callable[[str], Egress],
    on_progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """One row of JUDGEMENT_SCHEMA per pair and judge, in the order of judges, then of pairs.

    Equal pairs of texts are asked once. A refused or unreadable answer is a row with ``failure``.

    Args:
        pairs: a table with the columns of PAIR_SCHEMA.
        judges: model names, as the endpoint knows them.
        egress: a source's rule (``get_source(name).card.llm_egress``).

    Raises:
        EgressRefused: a source's text may not go to the client's endpoint.
        LanguageModelError: some pairs got no answer at all; run it again.
    """
    rows = pairs.select(PAIR_SCHEMA.names).to_pylist()
    asked = [(judge, row) for judge in judges for row in rows]
    answers = client.complete_many(
        [_request(row, judge, egress(row["source"])) for judge, row in asked], on_progress
    )
    raise_unreached(answers)
    judged = [_row(row, judge, answer) for (judge, row), answer in zip(asked, answers, strict=True)]
    return pa.Table.from_pylist(judged, schema=JUDGEMENT_SCHEMA)


def _request(row: dict[str, Any], judge: str, egress: Egress) -> ChatRequest:
    texts = {name: " ".join(row[name].split()) for name in ("reference", "prediction")}
    return ChatRequest(
        source=row["source"],
        egress=egress,
        model=judge,
        messages=JUDGE.messages(texts),
        answer=ErrorCounts,
        prompt_version=JUDGE.version,
        temperature=0.0,
        seed=0,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        study_id=_study_of(row["example_id"]),
    )


def _study_of(example: str) -> str | None:
    """The study that an example's id tells (``source/study/image/version``, quoted)."""
    parts = example.split("/")
    return unquote(parts[1]) if len(parts) > 1 else None


def _row(row: dict[str, Any], judge: str, answer: Answer) -> dict[str, Any]:
    counts = answer.value if isinstance(answer.value, ErrorCounts) else None
    return {
        "example_id": row["example_id"],
        "control": row["control"],
        "judge": judge,
        "judge_version": JUDGE.version,
        "significant": counts.significant.counts() if counts else None,
        "insignificant": counts.insignificant.counts() if counts else None,
        "failure": None if counts else str(answer.status),
        "answered_by": answer.model,
        "request_hash": answer.request_hash,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cost_usd": answer.cost_usd,
    }
