"""A hard stop in currency, shared by all processes of a data root.

Before a request leaves, what it may cost is reserved; after, what it did cost is settled. Spent
and reserved together never pass the budget, so the bill can pass it only by what the requests in
flight cost beyond their estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from math import ceil

from infra.errors import BudgetExceeded, SettingsError
from infra.llm.ledger import COST, NANO, Ledger, Work, money, release_dead, work_of
from infra.llm.prices import Price, PriceTable
from infra.llm.request import ChatRequest, Message, schema_text

CHARACTERS_PER_TOKEN = 4.0
"""The usual rule of thumb for English; it counts until sizes have been observed."""
ENOUGH_ASKS = 20
"""Exchanges after which observed sizes count (our choice)."""
MARGIN = 1.5
"""Reserved over the observed mean: our choice, as reports differ in length."""


class Budget:
    """Reservations against one limit.

    Args:
        limit_usd: all that this data root may ever spend; None reserves nothing.
    """

    def __init__(self, ledger: Ledger, prices: PriceTable, limit_usd: float | None) -> None:
        self._ledger, self._prices = ledger, prices
        self._found: dict[tuple[str, date], Price | None] = {}
        self._limit = None if limit_usd is None else int(limit_usd * NANO)

    def require_prices(self, models: Iterable[str]) -> None:
        """Raise SettingsError where a limit is set and a model has no price to hold against it."""
        if self._limit is None:
            return
        for model in sorted(set(models)):
            if self._price(model) is None:
                raise SettingsError(
                    f"a budget for model '{model}', whose price is not known",
                    "a price for every model that is asked",
                    "add it to llm-prices.toml in the state folder (see 'cxr llm prices'), or "
                    "unset CXR_LLM_BUDGET_USD",
                )

    def _price(self, model: str) -> Price | None:
        """Today's price; looked for once a day, as it is asked for with every exchange."""
        key = (model, datetime.now(UTC).date())
        if key not in self._found:
            self._found[key] = self._prices.find(*key)
        return self._found[key]

    def estimate(
        self, request: ChatRequest, messages: Sequence[Message], in_batch: bool = False
    ) -> int:
        """What one exchange may cost, in billionths of a dollar; 0 without a limit or a price."""
        price = self._price(request.model) if self._limit is not None else None
        if price is None:
            return 0
        work = work_of(request)
        seen = self._ledger.observed(work.task, work.model)
        characters = count_characters(request, messages)
        tokens_in, tokens_out = characters / CHARACTERS_PER_TOKEN, request.max_output_tokens
        if seen.asks >= ENOUGH_ASKS and seen.input_tokens:  # some servers count none
            tokens_in = characters * seen.input_tokens / max(1, seen.input_characters)
            tokens_out = min(tokens_out, ceil(MARGIN * seen.output_tokens / seen.asks))
        return in_nano(price.cost_usd(ceil(tokens_in), tokens_out, in_batch))

    def reserve(self, amount: int) -> bool:
        """Take a reservation; False where only those of requests in flight stand in the way.

        Raises:
            BudgetExceeded: what is already spent leaves no room for it.
        """
        if self._limit is None or amount == 0:
            return True
        with self._ledger.transaction() as run:
            if self._fits(*money(run), amount):
                self._ledger.reserve(run, amount)
                return True
            if release_dead(run) and self._fits(*money(run), amount):
                self._ledger.reserve(run, amount)
                return True
            spent, reserved = money(run)
        if reserved == 0 or spent + amount > self._limit:
            raise BudgetExceeded(
                f"the budget of {dollars(self._limit)} for language models is used up: "
                f"{dollars(spent)} spent and {dollars(reserved)} in flight, the next request may "
                f"cost {dollars(amount)}; what was answered is kept and costs nothing again: "
                "raise CXR_LLM_BUDGET_USD and run it again"
            )
        return False

    def _fits(self, spent: int, reserved: int, amount: int) -> bool:
        assert self._limit is not None
        return spent + reserved + amount <= self._limit

    def settle(self, reserved: int, work: Work, cost: int) -> None:
        """Give a reservation back and count the true cost, in one step where money is guarded."""
        self._ledger.add(work, **{COST: cost})
        if self._limit is not None and (reserved or cost):
            with self._ledger.transaction() as run:
                self._ledger.write_pending(run)
                self._ledger.reserve(run, -reserved)

    def cost(
        self,
        asked: str,
        answered: str,
        input_tokens: int,
        output_tokens: int,
        in_batch: bool = False,
    ) -> int | None:
        """Billionths of a dollar, by the name the server gave itself or else the one asked for."""
        price = self._price(answered) or self._price(asked)
        return (
            None
            if price is None
            else in_nano(price.cost_usd(input_tokens, output_tokens, in_batch))
        )


def count_characters(request: ChatRequest, messages: Sequence[Message]) -> int:
    """What goes out: the messages and the answer's schema, which providers count as input."""
    return sum(len(item.content) for item in messages) + len(schema_text(request.answer))


def in_nano(usd: float) -> int:
    """Dollars as whole billionths, rounded up (what floats leave beyond a millionth of one aside).

    A bill is never less than what is counted here.
    """
    return ceil(round(usd * NANO, 6))


def dollars(nano: int) -> str:
    """``$12.34``; four decimals below ten dollars."""
    return f"${nano / NANO:,.2f}" if nano >= 10 * NANO else f"${nano / NANO:.4f}"
