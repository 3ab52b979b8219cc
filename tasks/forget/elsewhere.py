"""What knows a subject beside the artifacts: the state folder, MLflow's store, Prefect's database.

Work that a stopped run left is removed whole, for the next run makes it again. Answers of a
language model are erased one by one. Databases of others keep their rows, in which the subject's
words are replaced, and are written anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final

from evaluation.metric_cache import CACHE_FOLDER
from infra import postgres_rows
from infra.fingerprint import file_digest
from infra.llm.archive import ARCHIVE_FOLDER
from infra.llm.batch_state import BATCH_FILE
from infra.llm.cache import CACHE_FILE
from infra.llm.erasure import Erased, erase_answers
from infra.llm.owners import OWNERS_FILE
from infra.llm.quarantine import QUARANTINE_FILE
from infra.sqlite_files import BESIDE, change_texts, is_database
from infra.store import Store
from tasks.forget.artifacts import local_files
from tasks.forget.dossier import FOLDER, Dossier
from tasks.forget.needles import Needles
from tasks.forget.outside import Outside, store_at
from tasks.forget.places import files_under, local_copy
from tasks.forget.requests import drop_owned
from tasks.forget.search import kinds_in_file, kinds_in_name
from tasks.forget.tables import WITHDRAWN

WORK: Final = (
    *("predictions", "drawn", "drawings", "scores", "classifiers", "grounding", "retrieval"),
    *("coherence", "submissions", "register", "downloads"),
)
"""Folders of the state folder with work that a step leaves when it is stopped, and copies."""
_STAGES: Final = "stages"
_OWN: Final = (CACHE_FILE, QUARANTINE_FILE, BATCH_FILE, OWNERS_FILE)
"""Databases of the language model, from which whole rows are erased."""


def left_work(store: Store, dossier: Dossier) -> list[Path]:
    """What stopped runs left, and unfinished stages that learned from the subject.

    A stage that is unfinished and never read an example of theirs keeps its checkpoints.
    """
    doomed = [store.state / name for name in WORK if (store.state / name).is_dir()]
    doomed += _stage_work(store, dossier)
    return [*doomed, *store.abandoned_scratch(), store.state / CACHE_FOLDER]


def remove_work(doomed: list[Path], *, dry_run: bool) -> int:
    """Remove folders and files; how many files that are.

    Counts of scored pairs are among them: their keys are hashes, and whose they are is not known.
    """
    files = sum(len(local_files(path)) if path.is_dir() else path.exists() for path in doomed)
    for path in doomed if not dry_run else ():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return files


def _stage_work(store: Store, dossier: Dossier) -> Iterator[Path]:
    """Work folders of stages whose run tells of examples or stages that are named."""
    touched = {folder.encode() for folder in dossier.learned}
    examples = {folder.encode() for folder in dossier.examples}
    for folder in sorted((store.state / _STAGES).glob("*")):
        told = folder / "run.json"
        data = told.read_bytes() if told.is_file() else b""
        own = f"{_STAGES}/{folder.name}" in dossier.learned
        if own or any(name in data for name in touched | examples):
            yield folder


def erase_requests(
    state: Path, dossier: Dossier, needles: Needles, more: Set[str], *, dry_run: bool
) -> Erased:
    """Take answers to their requests, and answers with their sentences, out of every store.

    Args:
        more: hashes of other requests whose answers go too.
    """

    def holds(text: str) -> bool:
        return bool(needles.kinds_in(text.encode("utf-8", "surrogateescape")))

    erased = erase_answers(state, dossier.requests | more, holds, dry_run=dry_run)
    if not dry_run:
        drop_owned(state, dossier)
    return erased


def change_databases(
    places: Outside, needles: Needles, doomed: list[Path], *, dry_run: bool
) -> int:
    """Replace their words in every database that is not the language model's; rows changed."""

    def change(text: str) -> str:
        return needles.without(text, WITHDRAWN)

    changed = 0
    for folder in places.folders:
        for path in _apart(local_files(folder), doomed):
            if path.name not in _OWN and is_database(path):
                changed += change_texts(path, change, dry_run=dry_run)
    for url in places.databases:
        changed += postgres_rows.change_texts(url, change, dry_run=dry_run)
    return changed


def _apart(paths: list[Path], doomed: list[Path]) -> list[Path]:
    """Those that are in none of the folders that go anyway."""
    gone = set(doomed)
    return [path for path in paths if path not in gone and not gone.intersection(path.parents)]


def remove_files(
    store: Store,
    places: Outside,
    needles: Needles,
    pictures: set[str],
    doomed: list[Path],
    *,
    dry_run: bool,
) -> int:
    """Remove files outside of artifacts that speak of them, or are copies of removed pictures.

    Folders that are named after them go when they are empty.
    """
    removed = 0
    for folder in places.folders:
        for path in _apart(local_files(folder), doomed):
            if _is_kept(store, path):
                continue
            inside = path.relative_to(folder).as_posix()
            if (
                kinds_in_name(inside, needles)
                or file_digest(path) in pictures
                or kinds_in_file(path, needles)
            ):
                removed += 1
                if not dry_run:
                    path.unlink()
        for empty in sorted(folder.rglob("*"), reverse=True) if not dry_run else ():
            if empty.is_dir() and kinds_in_name(empty.name, needles) and not any(empty.iterdir()):
                empty.rmdir()
    return removed + sum(
        _remove_objects(store_at(url, store.state), needles, pictures, dry_run=dry_run)
        for url in places.stores
    )


def _remove_objects(objects: Store, needles: Needles, pictures: set[str], *, dry_run: bool) -> int:
    """The same of an object store."""
    doomed = []
    for name in files_under(objects, ""):
        with local_copy(objects, name) as path:
            copied = file_digest(path) in pictures
            if copied or kinds_in_name(name, needles) or kinds_in_file(path, needles):
                doomed.append(name)
    for name in doomed if not dry_run else ():
        objects.remove(name)
    return len(doomed)


def _is_kept(store: Store, path: Path) -> bool:
    """Databases and files of answers are changed apart, and the dossier goes last."""
    inside = path.relative_to(store.state).parts if path.is_relative_to(store.state) else ()
    beside = path.name.endswith((*BESIDE, ".lock"))
    return beside or inside[:1] in ((FOLDER,), (ARCHIVE_FOLDER,)) or is_database(path)
