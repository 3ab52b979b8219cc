"""How many calls of a language model a source's reports would take, and at what price."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow.parquet as pq

from infra.artifact import Artifact
from infra.llm.prices import load_prices
from sources.record import Split
from tasks.context import Context
from tasks.reports.offline_answers import MODEL

TOKENS_PER_REQUEST = {
    "structure": (900, 250),
    "translate": (500, 120),
    "synthesize": (450, 120),
}
"""Input and output tokens of one request by route. Our measurement on the replicas: the prompt's
own length plus the mean report's, four characters to a token; an estimate, not a bill."""


@dataclass(frozen=True)
class Estimate:
    """At most this many requests, for answers in the cache cost nothing; None: no price known."""

    requests: int
    cost_usd: float | None


def estimate_reports(context: Context, name: str, studies: Artifact) -> Estimate:
    """Requests of the source's routes: with a report for structure and translate, with labels for
    synthesize."""
    settings = context.settings
    price = load_prices(context.store.state).find(settings.reports.model, datetime.now(UTC).date())
    paths = [str(path) for path in studies.files("studies.parquet")]
    requests, cost = 0, 0.0
    for route in settings.sources.routes[name]:
        if route == "keep":
            continue
        number = _applicable(paths, route)
        requests += number
        if price is not None:
            tokens = TOKENS_PER_REQUEST[route]
            cost += number * price.cost_usd(*tokens)
    free = settings.reports.model == MODEL or requests == 0
    return Estimate(requests, 0.0 if free else (cost if price is not None else None))


JUDGING_TOKENS = (700, 130)
"""Input and output tokens of one judgement: our measurement on the replicas, as above."""


def estimate_judging(context: Context, examples: Artifact) -> Estimate:
    """Requests of the judges: each judges each test example, as the model and each control wrote
    it, at most; equal pairs are asked once."""
    score = context.settings.score
    paths = [
        str(context.store.local(f"{piece.folder}/{file.name}", file.digest))
        for piece in examples.pieces
        for file in piece.files
        if file.name.startswith(f"{Split.TEST}-")
    ]
    of_study = Counter(
        study
        for path in paths
        for study in pq.read_table(path, columns=["study_id"])[0].to_pylist()
    )
    rows = sum(number for _, number in of_study.most_common(score.judged_studies))
    each = rows * (1 + len(score.controls))
    table, today = load_prices(context.store.state), datetime.now(UTC).date()
    cost: float | None = 0.0
    for judge in score.judges:
        if judge != MODEL and cost is not None:
            price = table.find(judge, today)
            cost = None if price is None else cost + each * price.cost_usd(*JUDGING_TOKENS)
    return Estimate(each * len(score.judges), cost)


def estimate_teacher(context: Context, studies: Artifact) -> Estimate:
    """Requests of rating a source's teacher at most: every task writes of as many studies as are
    drawn and have what it needs, and each judge judges each text and its control."""
    settings = context.settings
    score = settings.score
    paths = [str(path) for path in studies.files("studies.parquet")]
    table, today = load_prices(context.store.state), datetime.now(UTC).date()
    requests, cost = 0, 0.0
    known = True
    for route, tokens in TOKENS_PER_REQUEST.items():
        number = min(_applicable(paths, route), score.teacher_studies or sys.maxsize)
        pairs = 2 * min(number, score.judged_studies or number)
        asked = [(settings.reports.model, number, tokens)]
        asked += [(judge, pairs, JUDGING_TOKENS) for judge in score.judges]
        requests += sum(times for _, times, _ in asked)
        for model, times, each in asked:
            price = table.find(model, today)
            known = known and (model == MODEL or price is not None)
            cost += times * price.cost_usd(*each) if price is not None else 0.0
    return Estimate(requests, cost if known else None)


def _applicable(paths: list[str], route: str) -> int:
    condition = (
        "len(source_labels) > 0 OR len(labels) > 0 OR len(boxes) > 0"
        if route == "synthesize"
        else "raw_report IS NOT NULL OR len(texts) > 0"
    )
    with duckdb.connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM read_parquet(?) WHERE {condition}", [paths]
        ).fetchone()
    assert row is not None
    return int(row[0])
