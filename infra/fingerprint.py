"""Digests that decide what runs again: of settings and inputs, of files, and of code.

A fingerprint is 16 hexadecimal digits of blake2b over canonical JSON: 64 bits, so that two of a
million artifacts collide with probability under 1e-7. A value that JSON cannot hold is an error,
never skipped: a key that cannot be computed must not read as "unchanged".
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from infra.tree_walk import lines_under

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = ("flows", "tasks", "sources", "models", "evaluation", "infra")
_IMPORT = re.compile(rb"^[ \t]*((?:from|import)\b[^\n(]*(?:\([^)]*\))?)", re.MULTILINE)
_BLOCK_BYTES = 1 << 20  # our choice: larger reads gain nothing on local disks


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; raises TypeError or ValueError on what JSON lacks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that identify a JSON value."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=8).hexdigest()


def file_digest(path: Path) -> str:
    """xxh3-128 of a file's bytes, as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def stat_digest(root: Path, paths: Iterable[str]) -> str:
    """Fingerprint of raw files by relative path, size and modification time, in path order.

    A file that is not there (a link to nothing or to itself, say) counts as absent.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(paths):
        try:
            status = (root / name).stat()
            mark = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            mark = "absent"
        digest.update(f"{name}\0{mark}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def tree_digest(root: Path) -> str:
    """``stat_digest`` of all files under a folder whose names do not begin with a dot.

    Paths come sorted, and a million files are never all held (``infra.tree_walk``). A linked file
    counts as what it leads to, and a linked folder is left out.
    """
    digest = hashlib.blake2b(digest_size=8)
    for lines in lines_under(root):
        digest.update(lines)
    return digest.hexdigest()


def code_digests(*modules: str) -> dict[str, str]:
    """Digest of every project module that these can reach by imports, themselves included."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _module_path(HOUSE, name)
        if path is None or name in found:
            continue
        digest, imports = _scan(path, name)
        found[name] = digest
        waiting.extend(imports)
    return dict(sorted(found.items()))


def drifted_modules(recorded: Mapping[str, str], current: Mapping[str, str]) -> tuple[str, ...]:
    """Names of modules whose digest differs between two ``code_digests``."""
    names = recorded.keys() | current.keys()
    return tuple(sorted(name for name in names if recorded.get(name) != current.get(name)))


@cache
def _module_path(house: Path, name: str) -> Path | None:
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = house.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _scan(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of one module's text, and the project modules it imports."""
    text = path.read_bytes()
    imports: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _import_statements(text):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            imports.add(base)
            imports.update(f"{base}.{alias.name}" for alias in node.names)
    return hashlib.blake2b(text, digest_size=8).hexdigest(), tuple(sorted(imports))


def _import_statements(text: bytes) -> Iterator[ast.stmt]:
    """A module's import statements, found by their first word: parsing all of it takes ten times.

    Prose that begins like an import is no statement; one whose brackets hold a closing bracket in a
    comment would be missed (a test holds every module to Python's own parser).
    """
    for found in _IMPORT.findall(text):
        with suppress(SyntaxError):
            yield from ast.parse(found).body


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, node.module] if node.module else parents)
