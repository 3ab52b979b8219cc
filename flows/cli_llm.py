"""The ``cxr llm`` commands: what was asked and paid, what left, and what is asked again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import InputError

if TYPE_CHECKING:
    from infra.llm.audit_summary import AuditSummary
    from infra.llm.quarantine import Failure
    from infra.llm.quota import QuotaSeen
    from infra.llm.status import Status
    from infra.settings.environment import Environment

LLM = typer.Typer(
    help="Look after the language model's answers: counts, money, audit, retries.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
DataRoot = Annotated[
    str | None, typer.Option(help="Folder or URL for all artifacts [CXR_DATA_ROOT, else data].")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def _environment(data_root: str | None) -> Environment:
    """The place, whose state folder must be there: a command that looks makes nothing."""
    from infra.settings.environment import load_environment

    environment = load_environment(data_root=data_root)
    if not environment.state.is_dir():
        raise InputError(
            f"no state folder at {environment.state}",
            "a data root that was used",
            "see --data-root",
        )
    return environment


@LLM.command(help="Requests sent, kept, failed and in flight, tokens, cost and budget, as of now.")
def status(data_root: DataRoot = None, as_json: Json = False) -> None:
    from infra.llm.status import read_status

    environment = _environment(data_root)
    found = read_status(environment.state, environment.llm_budget_usd)
    print(json.dumps(asdict(found), indent=1) if as_json else status_text(found))


@LLM.command(help="What left for which endpoint under which guarantee, from the audit log.")
def audit(data_root: DataRoot = None, as_json: Json = False) -> None:
    from infra.llm.audit_summary import summarize_audit

    found = summarize_audit(_environment(data_root).state)
    print(json.dumps(asdict(found), indent=1) if as_json else audit_text(found))


@LLM.command(help="Let requests that failed for good be asked again by the next run.")
def retry(
    reason: Annotated[str | None, typer.Option(help="Only failures of this kind.")] = None,
    source: Annotated[str | None, typer.Option(help="Only requests of this source.")] = None,
    data_root: DataRoot = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be asked.")] = False,
) -> None:
    from infra.llm.cache import AnswerCache
    from infra.llm.quarantine import FINAL_FAILURES, Quarantine
    from infra.llm.state_folder import in_one_line

    if reason is not None and reason not in FINAL_FAILURES:
        raise InputError(f"reason '{reason}'", f"one of {', '.join(FINAL_FAILURES)}", "correct it")
    state = _environment(data_root).state
    with in_one_line(state), closing(Quarantine(state)) as quarantine:
        failures = [item for item in quarantine.failures(reason, source) if not item.released]
        if failures and not dry_run:
            with closing(AnswerCache(state)) as cache:
                cache.forget_failures(item.request_key for item in failures)
            quarantine.release(failures)
    print(retry_text(failures, dry_run))


@LLM.command(help="Move stored answers from SQLite into Parquet files.")
def compact(
    data_root: DataRoot = None,
    forget_damaged: Annotated[
        bool, typer.Option("--forget-damaged", help="Give up answers in files that are damaged.")
    ] = False,
) -> None:
    from infra.llm.cache import CACHE_FILE, AnswerCache
    from infra.llm.compaction import compact as compact_cache
    from infra.llm.state_folder import in_one_line

    state = _environment(data_root).state
    if not (state / CACHE_FILE).exists():
        raise InputError(f"no answers under {state}", "a cache of answers", "nothing was asked yet")
    with in_one_line(state), closing(AnswerCache(state)) as cache:
        done = compact_cache(cache, forget_damaged=forget_damaged)
    lost = f"; {done.lost:,} could not be read and will be asked again" if done.lost else ""
    print(f"{done.moved:,} answers moved; Parquet files in {cache.folder}: {done.files}{lost}")


@LLM.command(help="The prices that are in force, in US dollars per million tokens.")
def prices(data_root: DataRoot = None, as_json: Json = False) -> None:
    from infra.llm.prices import OWN_FILE, load_prices
    from infra.settings.environment import load_environment

    state = load_environment(data_root=data_root).state
    rows = [
        {
            "model": price.model,
            "since": str(price.since),
            "input": price.input,
            "output": price.output,
            "batch_discount": price.batch_discount,
        }
        for price in load_prices(state).in_force(datetime.now(UTC).date())
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    own = state / OWN_FILE
    print(_table(rows))
    print(f"from {own}" if own.is_file() else f"as shipped; a file {own} replaces them")


def status_text(found: Status) -> str:
    """The status for a terminal."""
    rows = [
        {
            "source": row.source,
            "task": row.task,
            "model": row.model,
            "sent": f"{row.sent:,}",
            "kept": f"{row.kept:,}",
            "failed": _by_reason(row.failed) or "0",
            "in flight": f"{row.in_flight:,}",
            "lost": f"{row.lost:,}",
            "replayed": f"{row.replayed:,}",
            "tokens in": f"{row.input_tokens:,}",
            "tokens out": f"{row.output_tokens:,}",
            "cost": f"${row.cost_usd:.4f}" + (" + unknown" if row.unpriced else ""),
        }
        for row in found.work
    ]
    budget = "no budget is set (CXR_LLM_BUDGET_USD)"
    if found.budget_usd is not None:
        budget = f"${found.left_usd:.4f} left of ${found.budget_usd:.2f}"
    waiting = sum(found.quarantine.values()) - found.released
    return "\n".join(
        [
            _table(rows) if rows else "nothing was asked yet",
            f"spent ${found.spent_usd:.4f}, reserved ${found.reserved_usd:.4f}; {budget}",
            f"{found.answers + found.answers_in_parquet:,} answers stored, "
            f"{found.answers_in_parquet:,} of them in Parquet",
            f"{waiting:,} in quarantine, {found.released:,} released to be asked again"
            + (f": {_by_reason(found.quarantine)}" if found.quarantine else ""),
            *(_quota_text(quota) for quota in found.quotas),
        ]
    )


def _quota_text(quota: QuotaSeen) -> str:
    """The pace of one endpoint and model, in a line."""
    paces = [
        f"{pace:,.0f} {what} a minute"
        for pace, what in (
            (quota.requests_per_minute, "requests" + " (a guess)" * quota.is_guess),
            (quota.tokens_per_minute, "tokens"),
        )
        if pace is not None
    ]
    refused = f"{quota.refused:,} of {quota.sent:,} answered 429"
    closed = f"; closed for {quota.closed_s:.0f} s" if quota.closed_s else ""
    return f"{quota.label}: {', '.join(paces) or 'no limit met'}; {refused}{closed}"


def audit_text(found: AuditSummary) -> str:
    """The audit for a terminal."""
    rows = [
        {
            "source": row.source,
            "endpoint": row.endpoint,
            "guarantee": row.guarantee,
            "model": row.model,
            "requests": f"{row.requests:,}",
            "outcomes": _by_reason(row.outcomes),
            "unanswered": f"{row.unanswered:,}",
            "tokens in": f"{row.input_tokens:,}",
            "tokens out": f"{row.output_tokens:,}",
            "first": row.first,
            "last": row.last,
        }
        for row in found.sent
    ]
    return (
        f"{_table(rows) if rows else 'nothing was sent'}\n"
        f"{found.damaged_lines} damaged lines, {found.stray_answers} answers to nothing sent"
    )


def retry_text(failures: Sequence[Failure], dry_run: bool) -> str:
    """How many, of what, and what to run."""
    if not failures:
        return "nothing in quarantine matches"
    reasons = _by_reason(Counter(item.reason for item in failures))
    sources = _by_reason(Counter(item.source for item in failures))
    would = "would be" if dry_run else "will be"
    text = f"{len(failures)} requests {would} asked again: {reasons}; of {sources}"
    if dry_run:
        return text
    return (
        f"{text}\nnow run the command that asked them ('cxr run', say): the steps behind them are "
        "made again, all else from stored answers"
    )


def _by_reason(counts: Any) -> str:
    return ", ".join(f"{why} {number:,}" for why, number in sorted(counts.items()))


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Columns under their names."""
    lines = [{name: name for name in rows[0]}, *rows]
    widths = {name: max(len(str(row[name])) for row in lines) for name in rows[0]}
    return "\n".join(
        "  ".join(str(row[name]).ljust(width) for name, width in widths.items()).rstrip()
        for row in lines
    )
