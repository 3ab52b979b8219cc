"""Search every byte of a data root and of the stores beside it for a subject who was forgotten.

It follows no manifest and knows no kind of artifact: files are walked as they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra import postgres_rows
from infra.settings.environment import without_password
from infra.store import Store
from tasks.forget.artifacts import local_files
from tasks.forget.dossier import FOLDER, Dossier
from tasks.forget.needles import Needles
from tasks.forget.outside import Outside, store_at
from tasks.forget.places import files_under, local_copy
from tasks.forget.search import kinds_in_bytes, kinds_in_file, kinds_in_name


@dataclass
class Proof:
    """What a search found.

    Args:
        left: place and what stands there, one for each file.
        unsearched: places that nobody could look into from here.
    """

    files: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)
    unsearched: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found where one could look."""
        return not self.left

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found, and everything was looked into."""
        return self.is_clean and not self.unsearched


def search_everywhere(store: Store, places: Outside, dossier: Dossier, needles: Needles) -> Proof:
    """Read every file under the data root and the places outside of it."""
    proof = Proof(unsearched=places.unsearched)
    seen: set[Path] = set()
    own = store.state / FOLDER  # what is known of the subject, which goes when nothing is found
    for name in files_under(store, ""):
        with local_copy(store, name) as path:
            if path.parent != own:
                _search(proof, path, name, dossier, needles)
            seen.add(path)
    for folder in places.folders:
        for path in local_files(folder):
            if path not in seen and path.parent != own:
                _search(proof, path, str(path), dossier, needles)
    for url in places.databases:
        _search_database(proof, url, needles)
    for url in places.stores:
        objects = store_at(url, store.state)
        for name in files_under(objects, ""):
            with local_copy(objects, name) as path:
                _search(proof, path, f"{without_password(url)}/{name}", dossier, needles)
    roots = [*places.folders, *([Path(store.path(""))] if store.is_local else [])]
    named = {p for root in roots for p in root.rglob("*") if kinds_in_name(p.name, needles)}
    proof.left += [f"id in the name of a folder in {p.parent}" for p in named if p.is_dir()]
    return proof


def _search_database(proof: Proof, url: str, needles: Needles) -> None:
    found: dict[str, set[str]] = {}
    for table, cell in postgres_rows.cells(url):
        proof.bytes += len(cell)
        kinds = kinds_in_bytes(cell, needles)
        if kinds:
            found.setdefault(table, set()).update(kinds)
    for table, kinds in found.items():
        place = f"table {table} of {without_password(url)}"
        proof.left.append(f"{', '.join(sorted(kinds))} in {place}")


def _search(proof: Proof, path: Path, shown: str, dossier: Dossier, needles: Needles) -> None:
    try:
        size = path.stat().st_size
        found = kinds_in_file(path, needles)
    except FileNotFoundError:
        return  # a database's log that went with its last reader
    found |= kinds_in_name(shown, needles)
    if path.suffix == ".parquet":
        found |= _named(path, dossier)
    proof.files += 1
    proof.bytes += size
    if found:
        safe = shown if not kinds_in_name(shown, needles) else f"a file in {path.parent.parent}"
        proof.left.append(f"{', '.join(sorted(found))} in {safe}")


def _named(path: Path, dossier: Dossier) -> set[str]:
    """Whether a table has a row of theirs, by ids that are too short to search bytes for."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            known = {"study_id": dossier.studies, "subject_id": dossier.subjects}
            chosen = [name for name in ("source", *known) if name in names]
            if "source" not in chosen or len(chosen) == 1:
                return set()
            table = file.read(columns=chosen, use_threads=False)
    except pa.ArrowException:
        return set()
    kin = pc.is_in(table["source"], value_set=pa.array(dossier.sources))
    for name in chosen[1:]:
        theirs = pc.is_in(table[name], value_set=pa.array(sorted(known[name]), pa.string()))
        if pc.any(pc.and_(kin, pc.fill_null(theirs, False))).as_py():
            return {"id"}
    return set()
