"""The process that serves models."""

from __future__ import annotations

from typing import Final

from infra.dashboards.board import Dashboard, Row, Variable
from infra.dashboards.panel import YES, Panel, Query, at_least, at_most

_ROUTE = 'route=~"$route"'
_WINDOW = "$__rate_interval"
_REQUESTS = f"cxr_serve_requests_total{{{_ROUTE}}}"

SERVING: Final = Dashboard(
    "cxrflow-serving",
    "cxrflow: serving",
    "How requests to served models are answered: how many, how fast, how many turned away.",
    (
        Row(
            "Now",
            (
                Panel(
                    "Which version answers",
                    "table",
                    (
                        Query(
                            "max by (part, model, version) "
                            "(cxr_serve_model_info * on (part) group_left () cxr_serve_ready)"
                        ),
                    ),
                    "By part of the serving process; nothing where no version was loaded yet.",
                    height=6, columns={"A": "ready"},
                    colours={"A": at_least(1, 1)}, texts={"A": YES},
                ),
                Panel(
                    "Errors of the server, 5 min",
                    "stat",
                    (
                        Query(
                            'sum(rate(cxr_serve_requests_total{status=~"5.."}[5m])) '
                            "/ sum(rate(cxr_serve_requests_total[5m]))"
                        ),
                    ),
                    "Share of all requests. No data while nobody asks.",
                    width=6, height=6, unit="percentunit", decimals=2, steps=at_most(0.001, 0.01),
                ),
                Panel(
                    "Places taken",
                    "stat",
                    (Query("max(cxr_serve_places / cxr_serve_places_most)"),),
                    "At 100 % the next request is answered 429.",
                    width=6, height=6, unit="percentunit", steps=at_most(0.7, 0.95),
                ),
            ),
        ),
        Row(
            "Over time",
            (
                Panel(
                    "Requests a second by status",
                    "timeseries",
                    (Query(f"sum by (status) (rate({_REQUESTS}[{_WINDOW}]))", "{{status}}"),),
                    "429 is turned away for want of room, 5xx is our fault, other 4xx is theirs.",
                    unit="reqps", low=0,
                ),
                Panel(
                    "Seconds to the answer's end",
                    "timeseries",
                    tuple(
                        Query(
                            f"histogram_quantile({rank}, sum by (le, route) "
                            f"(rate(cxr_serve_seconds_bucket{{{_ROUTE}}}[{_WINDOW}])))",
                            f"{{{{route}}}} p{round(100 * rank)}",
                        )
                        for rank in (0.5, 0.95, 0.99)
                    ),
                    "Half, 95 % and 99 % of the requests are answered sooner.",
                    unit="s", low=0,
                ),
                Panel(
                    "Waiting and being written",
                    "timeseries",
                    (
                        Query("cxr_serve_waiting", "{{part}} waiting"),
                        Query("cxr_serve_live", "{{part}} being written"),
                    ),
                    "A queue that never empties wants another GPU or a smaller model.",
                    low=0,
                ),
                Panel(
                    "Swaps, failures to swap, restarts",
                    "timeseries",
                    (
                        Query("cxr_serve_swaps", "{{part}} swaps"),
                        Query("cxr_serve_swap_failures", "{{part}} failed swaps"),
                        Query("cxr_serve_restarts", "{{part}} restarts"),
                    ),
                    "Since the serving process began.",
                    decimals=0, low=0,
                ),
            ),
        ),
    ),
    (Variable("route", "cxr_serve_requests_total"),),
    "now-6h",
)  # fmt: skip
