"""How many calls of a language model a source's reports would take, at what price, in what time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow.parquet as pq

from evaluation.chexprompt_prompt import JUDGE
from infra.artifact import Artifact
from infra.fingerprint import code_digests, fingerprint
from infra.llm.batch_rule import WINDOW_HOURS
from infra.llm.budget import CHARACTERS_PER_TOKEN, ENOUGH_ASKS, count_characters
from infra.llm.cache import CACHE_FILE, AnswerCache
from infra.llm.ledger import Observed, task_of
from infra.llm.prices import load_prices
from infra.llm.request import ChatRequest
from infra.llm.status import read_observed
from infra.settings.sections import Route
from infra.tables import connect
from sources.record import Split
from tasks.context import Context
from tasks.reports.connection import batch_rule
from tasks.reports.offline_answers import MODEL
from tasks.reports.offline_server import RULES
from tasks.reports.routes import piece_requests

TOKENS_PER_REQUEST = {
    "structure": (900, 250),
    "translate": (500, 120),
    "synthesize": (450, 120),
}
"""Input and output tokens of one request by route, until sizes have been observed. Our measurement
on the replicas: the prompt's own length plus the mean report's, four characters to a token; an
estimate, not a bill. What goes in is measured where the requests can be made."""
SAMPLED_STUDIES = 20_000
"""Studies of a source whose requests are really made and looked up (our choice: some seconds); of
larger sources the rest is taken to be like them, for pieces are cut by a hash."""


@dataclass(frozen=True)
class TaskEstimate:
    """One task of one source; ``cached`` requests are answered already and not in the others."""

    task: str
    requests: int
    cached: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    hours: float | None


@dataclass(frozen=True)
class Estimate:
    """At most this many requests.

    ``cost_usd`` is None where no price is known, ``hours`` where neither a limit per minute is set
    nor a latency has been observed. ``cached`` counts requests that are answered already, where
    that can be told; they are not in the other numbers.
    """

    requests: int
    cost_usd: float | None
    input_tokens: int = 0
    output_tokens: int = 0
    hours: float | None = None
    cached: int = 0
    tasks: tuple[TaskEstimate, ...] = ()


def estimate_reports(context: Context, name: str, studies: Artifact) -> Estimate:
    """What the source's routes would ask that no stored answer settles."""
    paths = [str(path) for path in studies.files("studies.parquet")]
    routes = [route for route in context.settings.sources.routes[name] if route != "keep"]
    return total([_estimate_route(context, paths, route) for route in routes])


def total(tasks: list[TaskEstimate]) -> Estimate:
    """One after the other, as the pieces are written."""
    costs = [task.cost_usd for task in tasks]
    hours = [task.hours for task in tasks]
    return Estimate(
        sum(task.requests for task in tasks),
        None if None in costs else sum(cost or 0.0 for cost in costs),
        sum(task.input_tokens for task in tasks),
        sum(task.output_tokens for task in tasks),
        None if None in hours else sum(each or 0.0 for each in hours),
        sum(task.cached for task in tasks),
        tuple(tasks),
    )


def _estimate_route(context: Context, paths: list[str], route: Route) -> TaskEstimate:
    read, requests = _sampled_requests(context, paths, route)
    applicable = _applicable(read, route) if len(read) < len(paths) else 0
    scale = _applicable(paths, route) / applicable if applicable else 1.0
    return estimate_requests(context, route, requests, TOKENS_PER_REQUEST[route][1], scale)


def estimate_requests(
    context: Context,
    task: str,
    requests: Mapping[str, ChatRequest],
    tokens_out: float,
    scale: float = 1.0,
) -> TaskEstimate:
    """What requests (by identity) of the recipe's model would take that no stored answer settles.

    Args:
        tokens_out: of one answer, until sizes have been observed.
        scale: how many requests each of these stands for.
    """
    model = context.settings.reports.model
    fresh = _not_cached(context, requests)
    characters = sum(count_characters(item, item.messages) for item in fresh)
    number, cached = (round(scale * each) for each in (len(fresh), len(requests) - len(fresh)))
    per_token, said = CHARACTERS_PER_TOKEN, tokens_out
    seen = _observed(context, task, model)
    if seen.asks >= ENOUGH_ASKS:
        per_token = seen.input_characters / max(1, seen.input_tokens)
        said = seen.output_tokens / seen.asks
    each = characters / per_token / max(1, len(fresh))
    return _priced(context, task, model, (number, cached), (each, said))


def _sampled_requests(
    context: Context, paths: list[str], route: Route
) -> tuple[list[str], dict[str, ChatRequest]]:
    """The files that were read, and their requests by identity; equal ones are asked once."""
    requests: dict[str, ChatRequest] = {}
    read: list[str] = []
    rows = 0
    for path in paths:
        read.append(path)
        studies = pq.read_table(path)
        asked = piece_requests(studies, route, context.settings.reports)
        requests.update((item.identity(), item) for item in asked)
        rows += studies.num_rows
        if rows >= SAMPLED_STUDIES:
            break
    return read, requests


def _not_cached(context: Context, requests: Mapping[str, ChatRequest]) -> list[ChatRequest]:
    state = context.store.state
    if not (state / CACHE_FILE).exists():
        return list(requests.values())
    embedded = context.environment.llm_base_url is None
    rules = fingerprint(code_digests(RULES)) if embedded else ""
    with closing(AnswerCache(state, rules)) as cache:
        stored = cache.get_many(requests)
    return [item for key, item in requests.items() if key not in stored]


def _observed(context: Context, task: str, model: str) -> Observed:
    return read_observed(context.store.state, task, model)


def _priced(
    context: Context,
    task: str,
    model: str,
    numbers: tuple[int, int],
    tokens: tuple[float, float],
) -> TaskEstimate:
    """Tokens, cost and hours of (new, cached) requests of so many tokens (in, out) each."""
    number, cached = numbers
    tokens_in, tokens_out = (round(number * each) for each in tokens)
    price = load_prices(context.store.state).find(model, datetime.now(UTC).date())
    rule = batch_rule(context.environment)
    discount = price.batch_discount if price is not None else 0.0
    in_batch = rule.admits(number, discount, rule.hours, rounds=0)
    cost = price.cost_usd(tokens_in, tokens_out, in_batch) if price is not None else None
    if model == MODEL or number == 0:
        cost = 0.0
    hours: float | None = WINDOW_HOURS
    if not in_batch:
        hours = _hours(context, _observed(context, task, model), number, tokens_in + tokens_out)
    return TaskEstimate(task, number, cached, tokens_in, tokens_out, cost, hours)


def _hours(context: Context, seen: Observed, requests: int, tokens: int) -> float | None:
    """The longest of what the account's limits and the observed latency admit."""
    place, bounds = context.environment, []
    if place.llm_requests_per_minute is not None:
        bounds.append(requests / place.llm_requests_per_minute / 60)
    if place.llm_tokens_per_minute is not None:
        bounds.append(tokens / place.llm_tokens_per_minute / 60)
    if seen.timed >= ENOUGH_ASKS:
        seconds = seen.milliseconds / seen.timed / 1000
        bounds.append(requests * seconds / place.llm_concurrency / 3600)
    return 0.0 if requests == 0 else max(bounds, default=None)


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
    task = task_of(JUDGE.version)
    tasks = []
    for judge in score.judges:
        seen = _observed(context, task, judge)
        tokens = float(JUDGING_TOKENS[0]), float(JUDGING_TOKENS[1])
        if seen.asks >= ENOUGH_ASKS:
            tokens = (seen.input_tokens / seen.asks, seen.output_tokens / seen.asks)
        tasks.append(_priced(context, task, judge, (each, 0), tokens))
    return total(tasks)


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
    with connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM read_parquet(?) WHERE {condition}", [paths]
        ).fetchone()
    assert row is not None
    return int(row[0])
