"""The books around a batch: reserved as a whole, counted answer by answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from llm_world import question
from pydantic import SecretStr
from test_llm_budget import priced

from infra.errors import BudgetExceeded
from infra.llm import Answer, AnswerStatus, Endpoint
from infra.llm.books import Books
from infra.llm.cache import AnswerCache
from infra.llm.prices import load_prices
from infra.llm.status import read_status

REQUESTS = [question(f"text {number}", max_output_tokens=5) for number in range(4)]
LIMIT = 1.0


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    state = priced(tmp_path)
    endpoint = Endpoint("http://127.0.0.1:9/v1", SecretStr("k"))
    with (
        closing(AnswerCache(state)) as cache,
        closing(Books(endpoint, state, cache, load_prices(state), LIMIT)) as opened,
    ):
        yield opened


def answer(status: AnswerStatus, cost: float | None = 0.02) -> Answer:
    return Answer("key", status, None, "scripted", 11, 5, cost)


def test_a_batch_is_reserved_counted_and_released(books: Books, tmp_path: Path) -> None:
    amount = asyncio.run(books.reserve_job(REQUESTS))
    assert read_status(tmp_path).reserved_usd == pytest.approx(amount / 1e9)
    assert amount > 4 * 0.05e9, "four times the output alone"
    for request, status in zip(
        REQUESTS, (AnswerStatus.OK, AnswerStatus.REFUSED, AnswerStatus.OK, AnswerStatus.INVALID),
        strict=True,
    ):  # fmt: skip
        books.answered_in_job(request.identity(), request, answer(status))
    books.release_job(amount)
    books.flush()
    found = read_status(tmp_path, LIMIT)
    assert (found.reserved_usd, found.spent_usd, found.left_usd) == (0.0, 0.08, 0.92)
    (row,) = found.work
    assert (row.sent, row.kept, row.failed, row.in_flight, row.lost) == (
        4, 2, {"refused": 1, "invalid": 1}, 0, 0,
    )  # fmt: skip
    assert (row.input_tokens, row.output_tokens, row.unpriced) == (44, 20, 0)
    assert found.quarantine == {"invalid": 1, "refused": 1}


def test_a_batch_beyond_the_budget_is_refused_as_a_whole(books: Books, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded, match="the next request may cost"):
        asyncio.run(books.reserve_job(REQUESTS * 10))
    assert read_status(tmp_path).reserved_usd == 0.0


def test_an_answer_without_a_price_is_counted_as_such(books: Books, tmp_path: Path) -> None:
    books.answered_in_job("a", REQUESTS[0], answer(AnswerStatus.OK, None))
    books.flush()
    (row,) = read_status(tmp_path).work
    assert (row.unpriced, row.cost_usd) == (1, 0.0)
