"""What the state folder's ledger, cache and quarantine say now; reads, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import InputError
from infra.llm.archive import ARCHIVE_FOLDER, ArchiveFile
from infra.llm.cache import CACHE_FILE
from infra.llm.cache import LAYOUT_VERSION as CACHE_LAYOUT
from infra.llm.ledger import (
    COST,
    LAYOUT_VERSION,
    LEDGER_FILE,
    NANO,
    REFUSED_429,
    REPLAYED,
    RETRIED,
    SENT,
    Observed,
    Work,
    dead_processes,
)
from infra.llm.quarantine import Quarantine
from infra.llm.quota import QuotaSeen, read_quotas
from infra.llm.request import AnswerStatus

OK = str(AnswerStatus.OK)
FAILURES = (
    *(str(status) for status in AnswerStatus if status != OK),
    *("over-budget", "misconfigured"),
)
"""How a request that is not kept can end."""
BUSY_SECONDS = 5.0


@dataclass(frozen=True)
class WorkCounts:
    """Requests of one source, task and model: sent = kept + failed + in flight + lost.

    ``lost`` were in flight when their process was killed or interrupted. ``unpriced`` counts paid
    exchanges without a known price, which ``cost_usd`` leaves out. ``retried`` counts tries that
    were made again, ``rate_limited`` those that were answered 429.
    """

    source: str
    task: str
    model: str
    sent: int = 0
    kept: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    lost: int = 0
    replayed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    retried: int = 0
    rate_limited: int = 0


@dataclass(frozen=True)
class Status:
    """All counts, money, paces, and what is stored; ``left_usd`` is None without a budget."""

    work: tuple[WorkCounts, ...]
    spent_usd: float
    reserved_usd: float
    budget_usd: float | None
    left_usd: float | None
    answers: int
    answers_in_parquet: int
    quarantine: Mapping[str, int]
    released: int
    quotas: tuple[QuotaSeen, ...]


def read_status(state_dir: Path, budget_usd: float | None = None) -> Status:
    """The status of one state folder.

    Raises:
        InputError: a file in it is not ours.
    """
    counts, in_flight, reserved = _read_ledger(state_dir / LEDGER_FILE)
    keys = {work for _, work in counts} | set(in_flight)
    work = tuple(_work_counts(key, counts, in_flight[key]) for key in sorted(keys))
    spent = sum(number for (what, _), number in counts.items() if what == COST)
    answers, moved = _read_cache(state_dir / CACHE_FILE)
    quarantine = Quarantine(state_dir)
    failures = quarantine.failures()
    quarantine.close()
    left = None if budget_usd is None else max(0.0, budget_usd - (spent + reserved) / NANO)
    return Status(
        work,
        spent / NANO,
        reserved / NANO,
        budget_usd,
        left,
        answers,
        moved,
        dict(sorted(Counter(item.reason for item in failures).items())),
        sum(item.released for item in failures),
        tuple(read_quotas(state_dir)),
    )


Counts = Counter[tuple[str, Work]]


def _read_ledger(path: Path) -> tuple[Counts, Counter[Work], int]:
    """Counts, requests that living processes have in flight, and what these have reserved."""
    counts, in_flight = Counts(), Counter[Work]()
    if _is_empty(path):
        return counts, in_flight, 0
    with _reading(path, LAYOUT_VERSION) as run:
        run.execute("BEGIN")  # one moment
        for what, *work, number in run.execute("SELECT * FROM counts"):
            counts[what, Work(*work)] = number
        dead = set(dead_processes(run))
        for process, *work, number in run.execute("SELECT * FROM in_flight"):
            in_flight[Work(*work)] += 0 if process in dead else number
        rows = run.execute("SELECT id, reserved FROM processes").fetchall()
        run.execute("COMMIT")
    return counts, in_flight, sum(amount for process, amount in rows if process not in dead)


def read_observed(state_dir: Path, task: str, model: str) -> Observed:
    """What paid exchanges of a task with a model took so far; zeros where there was none."""
    counts, _, _ = _read_ledger(state_dir / LEDGER_FILE)
    sums = Counter[str]()
    for (what, work), number in counts.items():
        if (work.task, work.model) == (task, model):
            sums[what] += number
    return Observed(*(sums[what] for what in Observed.__dataclass_fields__))


def _work_counts(work: Work, counts: Counts, in_flight: int) -> WorkCounts:
    failed = {why: counts[why, work] for why in FAILURES if counts[why, work]}
    sent, kept = counts[SENT, work], counts[OK, work]
    return WorkCounts(
        *work,
        sent=sent,
        kept=kept,
        failed=failed,
        in_flight=in_flight,
        lost=sent - kept - sum(failed.values()) - in_flight,
        replayed=counts[REPLAYED, work],
        input_tokens=counts["input_tokens", work],
        output_tokens=counts["output_tokens", work],
        cost_usd=counts[COST, work] / NANO,
        unpriced=counts["unpriced", work],
        retried=counts[RETRIED, work],
        rate_limited=counts[REFUSED_429, work],
    )


def _read_cache(path: Path) -> tuple[int, int]:
    """Answers in SQLite and in Parquet files."""
    if _is_empty(path):
        return 0, 0
    with _reading(path, CACHE_LAYOUT) as run:
        rows = run.execute("SELECT count(*) FROM answers").fetchone()[0]
        has_files = run.execute("SELECT 1 FROM sqlite_master WHERE name = 'archives'").fetchone()
        moved = has_files and run.execute("SELECT sum(rows) FROM archives").fetchone()[0]
    return rows, moved or 0


def damaged_files(state_dir: Path) -> list[str]:
    """Names of listed Parquet files of answers that are missing or damaged; reads all of them."""
    path = state_dir / CACHE_FILE
    if _is_empty(path):
        return []
    with _reading(path, CACHE_LAYOUT) as run:
        has_files = run.execute("SELECT 1 FROM sqlite_master WHERE name = 'archives'").fetchone()
        names = run.execute("SELECT name FROM archives").fetchall() if has_files else []
    return [name for (name,) in names if not _is_sound(state_dir / ARCHIVE_FOLDER / name)]


def _is_sound(path: Path) -> bool:
    try:
        ArchiveFile(path).check()
    except (FileNotFoundError, InputError):
        return False
    return True


def _is_empty(path: Path) -> bool:
    """Whether there is nothing yet: who makes a file may be killed before its tables are there."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


@contextmanager
def _reading(path: Path, layout: int) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write.

    Raises:
        InputError: the file is none of ours, or damaged; SQLite's words may quote what it holds.
    """
    try:
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
        ) as connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > layout:
                raise InputError(f"{path} of layout {found}", f"layout {layout}", "move it away")
            yield connection
    except sqlite3.Error as error:
        why = getattr(error, "sqlite_errorname", type(error).__name__)
        raise InputError(
            f"{path} that is no database of ours, is damaged or cannot be read ({why})",
            "a SQLite file as it was written",
            "look at its rights, restore it from a backup, or move it away",
        ) from None
