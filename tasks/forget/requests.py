"""What a language model was asked about a subject's studies, by the settings that reports tell.

Answers that were rejected stand in no table, so their requests are put together again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from infra.settings.sections import ReportSettings, Route
from infra.store import Store
from tasks.forget.places import files_under, find_places, local_copy
from tasks.forget.tables import Theirs
from tasks.ingest.studies import STUDIES_FILE
from tasks.reports.routes import piece_requests


def learn_requests(store: Store, theirs: Theirs) -> None:
    """Add the hash of every request that any artifact of reports made of their studies."""
    tables = list(_own_studies(store, theirs))
    for place in find_places(store, frozenset({"reports"})):
        if place.manifest is None or place.name not in theirs.dossier.sources:
            continue
        settings = _settings(dict(place.manifest["settings"]))
        for route in place.manifest["settings"].get("routes", ()):
            if settings is not None and route in get_args(Route):
                for studies in tables:
                    own = studies.filter(pa.compute.equal(studies["source"], place.name))
                    asked = piece_requests(own, route, settings)
                    theirs.dossier.requests |= {request.identity() for request in asked}


def _settings(told: dict[str, object]) -> ReportSettings | None:
    """How reports were asked for; None where an older version told it in other words."""
    known = {name: told[name] for name in ReportSettings.model_fields if name in told}
    try:
        return ReportSettings.model_validate(known)
    except ValidationError:
        return None


def _own_studies(store: Store, theirs: Theirs) -> Iterator[pa.Table]:
    """Their rows of STUDY_SCHEMA, of each file that has any."""
    for place in find_places(store, frozenset({"studies"})):
        for name in files_under(store, place.folder):
            if name.endswith(f"/{STUDIES_FILE}"):
                with local_copy(store, name) as path:
                    table = pq.read_table(path, partitioning=None)
                mine = table.filter(theirs.rows(table))
                if mine.num_rows:
                    yield mine
