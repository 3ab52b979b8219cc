"""Prices by model and day, and the log of what left."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from infra.egress import Guarantee
from infra.errors import SettingsError
from infra.llm.audit import AUDIT_FILE, AuditLog
from infra.llm.prices import load_prices

TODAY = date(2026, 1, 1)


@pytest.mark.parametrize(
    ("model", "day", "cost"),
    [
        ("gpt-4o", TODAY, 12.5),
        ("gpt-4o-2024-08-06", TODAY, 12.5),
        ("gpt-4o", date(2024, 6, 1), 20.0),
        ("gpt-4o-mini-2024-07-18", TODAY, 0.75),
        ("gpt-4-0613", TODAY, 90.0),
        ("gpt-4-1106-preview", TODAY, 40.0),
        ("gpt-4-turbo-2024-04-09", TODAY, 40.0),
        ("offline-rules", TODAY, 0.0),
    ],
)
def test_a_million_tokens_in_and_out(model: str, day: date, cost: float) -> None:
    price = load_prices().find(model, day)
    assert price is not None
    assert price.cost_usd(1_000_000, 1_000_000) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("model", "day"),
    [("gpt-4.1-nano", TODAY), ("llama-3", TODAY), ("gpt-4o", date(2024, 1, 1)), ("gpt", TODAY)],
)
def test_no_price_is_guessed(model: str, day: date) -> None:
    assert load_prices().find(model, day) is None


def test_the_operators_table_replaces_the_shipped_one(tmp_path: Path) -> None:
    own = '[[price]]\nmodel = "ours"\nsince = 2025-01-01\ninput = 1.0\noutput = 2.0\n'
    (tmp_path / "llm-prices.toml").write_text(own)
    table = load_prices(tmp_path)
    assert table.find("gpt-4o", TODAY) is None
    price = table.find("ours", TODAY)
    assert price is not None and price.cost_usd(500_000, 250_000) == 1.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("price = 3", "argument after ** must be a mapping"),
        ("", "'price'"),
        ("[[price]]\nmodel = 1\ncolour = 2", "unexpected keyword argument 'colour'"),
        ("[[price", "Expected"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "llm-prices.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_prices(tmp_path)
    assert str(caught.value).startswith(f"found price table {path} with ")
    assert "expected [[price]] tables of model, since, input and output" in str(caught.value)
    assert problem.split()[0] in str(caught.value) or "int" in str(caught.value)


def test_the_log_appends_two_lines_a_request(tmp_path: Path) -> None:
    for _ in range(2):
        log = AuditLog(tmp_path, "llm.example:443", Guarantee.ZERO_RETENTION)
        log.sent("openi", "abc", "gpt-4o")
        log.answered("openi", "abc", "ok", 10, 20)
        log.close()
    lines = [json.loads(line) for line in (tmp_path / AUDIT_FILE).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["sent", "answered"] * 2
    assert lines[0].keys() == {"at", "event", "source", "request", "model", "endpoint", "guarantee"}
    assert {k: v for k, v in lines[1].items() if k != "at"} == {
        "event": "answered",
        "source": "openi",
        "request": "abc",
        "outcome": "ok",
        "input_tokens": 10,
        "output_tokens": 20,
        "endpoint": "llm.example:443",
        "guarantee": "zero-retention",
    }


def test_only_the_owner_may_read_the_log(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, "h", Guarantee.NONE)
    assert log.path.stat().st_mode & 0o777 == 0o600
    log.close()
