"""What tokens cost: a dated table that the operator can replace."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from math import inf
from pathlib import Path

from infra.errors import SettingsError

SHIPPED = Path(__file__).with_name("prices.toml")
OWN_FILE = "llm-prices.toml"
MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens of a model from a day on.

    ``batch_discount`` is the share (0 to 1) that the Batch API leaves off; 0 where none is known.
    """

    model: str
    since: date
    input: float
    output: float
    batch_discount: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise TypeError(f"model {self.model!r}, which is no name")
        if type(self.since) is not date:
            raise TypeError(f"since {self.since!r}, which is no date (2024-07-18, without quotes)")
        for name, usd in (("input", self.input), ("output", self.output)):
            if type(usd) not in (int, float) or not 0 <= usd < inf:
                raise TypeError(f"{name} {usd!r}, which is no amount of dollars")
        if not 0.0 <= self.batch_discount <= 1.0:
            raise TypeError(f"batch_discount {self.batch_discount}, which is no share of 0 to 1")

    def cost_usd(self, input_tokens: int, output_tokens: int, in_batch: bool = False) -> float:
        cost = (input_tokens * self.input + output_tokens * self.output) / MILLION
        return cost * (1.0 - self.batch_discount) if in_batch else cost


@dataclass(frozen=True)
class PriceTable:
    """All known prices."""

    prices: tuple[Price, ...]

    def find(self, model: str, day: date) -> Price | None:
        """The newest price on or before ``day`` of the longest name that fits ``model``.

        A name fits itself and its dated snapshots (``gpt-4o`` fits ``gpt-4o-2024-08-06``).
        """
        known = [
            price
            for price in self.prices
            if price.since <= day and (model == price.model or _is_snapshot(model, price.model))
        ]
        return max(known, key=lambda price: (len(price.model), price.since), default=None)

    def in_force(self, day: date) -> list[Price]:
        """The newest price of every name on ``day``, by name."""
        known = sorted(
            (price for price in self.prices if price.since <= day), key=lambda price: price.since
        )
        newest = {price.model: price for price in known}
        return [newest[name] for name in sorted(newest)]


def _is_snapshot(model: str, name: str) -> bool:
    """``gpt-4o-2024-08-06`` is one of ``gpt-4o``; ``gpt-4o-mini`` is not."""
    return model.startswith(f"{name}-") and model[len(name) + 1 : len(name) + 2].isdigit()


def load_prices(state_dir: Path | None = None) -> PriceTable:
    """The operator's table in the state folder, else the shipped one.

    Raises:
        SettingsError: the file is not such a table.
    """
    path = SHIPPED
    if state_dir is not None and (state_dir / OWN_FILE).exists():
        path = state_dir / OWN_FILE
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["price"]
        return PriceTable(tuple(Price(**row) for row in rows))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SettingsError(
            f"price table {path} with {error}",
            "[[price]] tables of model, since, input and output, and perhaps batch_discount",
            "compare it with the shipped infra/llm/prices.toml",
        ) from None
