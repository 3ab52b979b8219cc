"""What a language model was asked about a subject's studies.

The list of owners beside the answers tells it. Of requests that are older than the list, those are
put together again that the settings of artifacts tell, for answers that were rejected stand in no
table; whose the others are nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from infra.llm.erasure import unowned_requests
from infra.llm.owners import OWNERS_FILE, Owners, drop_owners
from infra.settings.dialogues import DialogueRoute, DialogueSettings
from infra.settings.sections import ReportSettings, Route, Section
from infra.store import Store
from tasks.dialogues.routes import piece_requests as dialogue_requests
from tasks.forget.dossier import Dossier
from tasks.forget.places import JUDGED, ROWS, Place, files_under, find_places, local_copy
from tasks.forget.tables import Theirs
from tasks.ingest.studies import STUDIES_FILE
from tasks.reports.routes import piece_requests as report_requests
from tasks.reports.work import REPORTS_FILE

SectionT = TypeVar("SectionT", bound=Section)


class _Asking(NamedTuple):
    """How an artifact of dialogues was asked for."""

    dialogues: DialogueSettings
    reports: ReportSettings


def learn_owned(store: Store, dossier: Dossier) -> None:
    """Add the hash of every request that is known to be theirs, whatever artifacts are left."""
    if (store.state / OWNERS_FILE).exists():
        with closing(Owners(store.state)) as owners:
            dossier.requests |= owners.requests_of(
                dossier.sources, *_owner_of(dossier), dossier.studies
            )


def _owner_of(dossier: Dossier) -> tuple[str | None]:
    return (None if dossier.chosen else dossier.owner,)


def drop_owned(state: Path, dossier: Dossier) -> None:
    """Take the digests of their studies out of the list of owners."""
    drop_owners(state, dossier.sources, *_owner_of(dossier), dossier.studies)


def find_unowned(store: Store, dossier: Dossier) -> set[str]:
    """Hashes of stored requests that neither the list of owners nor any table tells of."""
    unowned = unowned_requests(store.state, dossier.requests)
    return unowned - _told_in_tables(store) if unowned else set()


def _told_in_tables(store: Store) -> set[str]:
    """Hashes of the requests behind all rows that there are."""
    found: set[str] = set()
    for place in find_places(store, ROWS | JUDGED):
        for name in files_under(store, place.folder):
            if name.endswith(".parquet"):
                with local_copy(store, name) as path, pq.ParquetFile(path) as file:
                    if "request_hash" in file.schema_arrow.names:
                        column = file.read(columns=["request_hash"])["request_hash"]
                        found |= set(column.to_pylist())
    return found


def learn_requests(store: Store, theirs: Theirs) -> None:
    """Add the hash of every request that reports and dialogues made of their studies."""
    studies = list(_own_rows(store, theirs, "studies", STUDIES_FILE))
    reports = list(_own_rows(store, theirs, "reports", REPORTS_FILE))
    for place in find_places(store, frozenset({"reports", "dialogues"})):
        if place.manifest is None or place.name not in theirs.dossier.sources:
            continue
        for table in studies:
            own = _of(table, place)
            asked = (
                _asked_of_reports(place.manifest["settings"], own)
                if place.kind == "reports"
                else _asked_in_dialogues(place, own, reports)
            )
            theirs.dossier.requests |= set(asked)


def _asked_of_reports(told: Mapping[str, Any], studies: pa.Table) -> Iterator[str]:
    settings = _section(ReportSettings, told)
    for route in told.get("routes", ()):
        if settings is not None and route in get_args(Route):
            for request in report_requests(studies, route, settings):
                yield request.identity()


def _asked_in_dialogues(place: Place, studies: pa.Table, reports: list[pa.Table]) -> Iterator[str]:
    assert place.manifest is not None
    told: Mapping[str, Any] = place.manifest["settings"]
    asked = _section(ReportSettings, told)
    written = _section(DialogueSettings, {k: v for k, v in told.items() if k != "routes"})
    for route in told.get("routes", ()):
        if asked is not None and written is not None and route in get_args(DialogueRoute):
            for table in reports:
                texts = _of(table, place)
                for request in dialogue_requests(studies, texts, route, _Asking(written, asked)):
                    yield request.identity()


def _section(kind: type[SectionT], told: Mapping[str, Any]) -> SectionT | None:
    """A section of the recipe; None where an older version told it in other words."""
    try:
        return kind.model_validate({k: told[k] for k in kind.model_fields if k in told})
    except ValidationError:
        return None


def _of(table: pa.Table, place: Place) -> pa.Table:
    return table.filter(pc.equal(table["source"], place.name))


def _own_rows(store: Store, theirs: Theirs, kind: str, file_name: str) -> Iterator[pa.Table]:
    """Their rows of each table of a kind that has any."""
    for place in find_places(store, frozenset({kind})):
        for name in files_under(store, place.folder):
            if name.endswith(f"/{file_name}"):
                with local_copy(store, name) as path:
                    table = pq.read_table(path, partitioning=None)
                mine = table.filter(theirs.rows(table))
                if mine.num_rows:
                    yield mine
