"""What language models were asked, what it cost, and how good the answers were."""

from __future__ import annotations

from typing import Final

from infra.dashboards.board import Dashboard, Row, Variable
from infra.dashboards.panel import Panel, Query, at_least, at_most
from infra.dashboards.promql import grown, share

_BAR = "$__interval"
_CHOSEN = 'source=~"$source", task=~"$task", model=~"$model"'


def _of(name: str, span: str, more: str = "") -> str:
    return grown(f"cxr_llm_{name}_total{{{_CHOSEN}{more}}}", span)


def _kept(span: str) -> str:
    return _of("requests", span, ', outcome="kept"')


def _limited(span: str, by: str) -> str:
    """Tries answered 429 over all tries; where nothing was tried, nothing."""
    sums = [f"sum by ({by}) {_of(name, span)}" for name in ("rate_limited", "requests", "retried")]
    return f"{sums[0]} / ({sums[1]} + {sums[2]})"


def _cached(span: str, by: str) -> str:
    cached, asked = (f"sum by ({by}) {_of(name, span)}" for name in ("cached", "requests"))
    return f"{cached} / ({cached} + {asked})"


_NOW: Final = Row(
    "Money and quality",
    (
        Panel(
            "Budget spent",
            "stat",
            (Query("cxr_llm_spent_usd / cxr_llm_budget_usd"),),
            "Spent and reserved, of CXR_LLM_BUDGET_USD. No data where no budget is set.",
            width=4, height=4, unit="percentunit", decimals=1, steps=at_most(0.75, 0.9),
        ),
        Panel(
            "Spent ever",
            "stat",
            (Query("cxr_llm_spent_usd"),),
            "By all processes of the state folder, requests in flight included.",
            width=4, height=4, unit="currencyUSD", decimals=2,
        ),
        Panel(
            "Spent in 24 h",
            "stat",
            (Query(f"sum{_of('cost_usd', '1d')}"),),
            "A run tells what it paid every ten minutes and at its end.",
            width=4, height=4, unit="currencyUSD", decimals=2,
        ),
        Panel(
            "Valid answers, 7 days",
            "stat",
            (Query(f"sum{_kept('7d')} / sum{_of('requests', '7d')}"),),
            "Requests that ended with an answer which passed its checks of form. The recipes bear "
            "5 % of failures.",
            width=4, height=4, unit="percentunit", decimals=1, steps=at_least(0.95, 0.98),
        ),
        Panel(
            "Answered 429, 7 days",
            "stat",
            (
                Query(
                    f"sum{_of('rate_limited', '7d')} "
                    f"/ (sum{_of('requests', '7d')} + sum{_of('retried', '7d')})"
                ),
            ),
            "Tries that the endpoint turned away. Under 5 % the quota broker holds the pace.",
            width=4, height=4, unit="percentunit", decimals=1, steps=at_most(0.05, 0.2),
        ),
        Panel(
            "From the cache, 7 days",
            "stat",
            (
                Query(
                    f"sum{_of('cached', '7d')} "
                    f"/ (sum{_of('cached', '7d')} + sum{_of('requests', '7d')})"
                ),
            ),
            "Requests that a stored answer settled: nothing was sent or paid.",
            width=4, height=4, unit="percentunit", decimals=1,
        ),
    ),
)  # fmt: skip
_TIME: Final = Row(
    "Over time",
    (
        Panel(
            "Requests by task, hour by hour",
            "timeseries",
            (Query(f"sum by (task) {_of('requests', _BAR)}", "{{task}}"),),
            "Requests that ended, valid or not; a run tells of them every ten minutes.",
            every="1h", low=0,
        ),
        Panel(
            "Dollars by source and task, day by day",
            "timeseries",
            (Query(f"sum by (source, task) {_of('cost_usd', _BAR)}", "{{source}} {{task}}"),),
            "What was paid. A model without a known price costs nothing here.",
            unit="currencyUSD", every="1d", low=0,
        ),
        Panel(
            "Tokens, hour by hour",
            "timeseries",
            (Query(f"sum by (direction) {_of('tokens', _BAR)}", "{{direction}}"),),
            "Tokens of what was asked and of what came back.",
            every="1h", low=0,
        ),
        Panel(
            "Valid share by task, 6 h",
            "timeseries",
            (
                Query(
                    share(_kept("6h"), _of("requests", "6h"), "task, model"), "{{task}} {{model}}"
                ),
            ),
            "Gaps are hours without a request.",
            unit="percentunit", high=1,
        ),
        Panel(
            "Answered 429, 1 h",
            "timeseries",
            (Query(_limited("1h", "model"), "{{model}}"),),
            "Share of tries. Many over a long time: lower CXR_LLM_CONCURRENCY, or ask for a quota.",
            unit="percentunit", low=0,
        ),
        Panel(
            "From the cache by task, 1 d",
            "timeseries",
            (Query(_cached("1d", "task"), "{{task}}"),),
            "A rerun that sends much has new prompts, settings or texts.",
            unit="percentunit", low=0, high=1,
        ),
    ),
)  # fmt: skip

LANGUAGE_MODELS: Final = Dashboard(
    "cxrflow-language-models",
    "cxrflow: language models",
    "What language models were asked, what it cost, and how good the answers were.",
    (_NOW, _TIME),
    tuple(Variable(name, "cxr_llm_requests_total") for name in ("source", "task", "model")),
)
