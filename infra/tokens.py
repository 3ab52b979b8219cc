"""Who may ask: a TOML file of names, roles and digests of tokens; a token itself is never kept.

    [tokens.reading-room]
    role = "viewer"
    sha256 = "64 hexadecimal digits"
    expires = 2027-06-30            # the last day, in UTC; optional

A token is 32 random bytes, so that a plain digest says nothing of it.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.errors import InputError
from infra.log import LOGGER

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "cxr_"
"""Lets a scanner of leaked secrets know one."""
_ADVICE = "write it with 'cxr token'"


class Role(StrEnum):
    """What a bearer may do; each may what those before it may."""

    VIEWER = "viewer"
    """Ask, and look."""
    OPERATOR = "operator"
    """Start, stop and reload."""
    PROMOTER = "promoter"
    """Say which model is the champion."""

    def may(self, wanted: Role) -> bool:
        """Whether this role includes the wanted one."""
        order = list(Role)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True)
class Bearer:
    """Whose token it is."""

    name: str
    role: Role


@dataclass(frozen=True)
class _Entry:
    bearer: Bearer
    digest: str
    expires: date | None


class TokenFile:
    """The tokens of a file, read again whenever it has changed.

    Raises:
        InputError: the file is absent, can be written by others than its owner, or is no token
            file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = _read(path)
        self._seen = _look(path)

    def bearer_of(self, token: str) -> Bearer | None:
        """Whose token this is; None where nobody's, or no longer.

        It is compared with all of them in equal time.
        """
        self._read_again()
        digest, today = digest_of(token), datetime.now(UTC).date()
        found = None
        for entry in self._entries:
            is_it = hmac.compare_digest(entry.digest, digest)
            if is_it and (entry.expires is None or today <= entry.expires):
                found = entry.bearer
        return found

    def _read_again(self) -> None:
        """A file that has become bad lets nobody in: what was taken out of it must not go on."""
        seen = _look(self.path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._entries = _read(self.path)
        except InputError as error:
            self._entries = ()
            LOGGER.error("nobody is let in: %s", error)


def digest_of(token: str) -> str:
    """What the file keeps of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add_token(path: Path, name: str, role: Role, expires: date | None = None) -> str:
    """Put a new token into the file, which is made where it is absent; returns the token.

    Raises:
        InputError: the name is taken or not plain, or the file is no token file.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the name '{name}'", "letters, digits, '-' and '_', up to 64", "rename")
    text = ""
    if path.exists():
        taken = {entry.bearer.name for entry in _read(path)}
        if name in taken:
            raise InputError(f"a token of '{name}' in {path}", "a new name", "take that one out")
        text = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
    token = _PREFIX + secrets.token_urlsafe(32)
    lines = [f"[tokens.{name}]", f'role = "{role}"', f'sha256 = "{digest_of(token)}"']
    lines += [] if expires is None else [f"expires = {expires.isoformat()}"]
    _write(path, text + "\n".join(lines) + "\n")
    return token


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(
            f"{path}, which cannot be written ({error.strerror})", "a file to write", "check it"
        ) from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def _look(path: Path) -> tuple[int, ...]:
    """Changes when the file does; empty where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[_Entry, ...]:
    try:
        mode = path.stat().st_mode
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = type(error).__name__
        raise InputError(f"{path}, which cannot be read ({why})", "a token file", _ADVICE) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InputError(f"{path}, which others may write", "its owner alone", f"chmod 600 {path}")
    tokens = table.get("tokens")
    if set(table) != {"tokens"} or not isinstance(tokens, dict) or not tokens:
        raise InputError(f"{path} without a table [tokens.NAME]", "one at least", _ADVICE)
    return tuple(_entry(path, name, values) for name, values in tokens.items())


def _entry(path: Path, name: str, values: Any) -> _Entry:
    """One table; what it holds is not repeated in an error."""
    wanted = "role (viewer, operator or promoter), sha256 and perhaps expires (a date)"
    is_table = isinstance(values, dict) and {"role", "sha256"} <= set(values)
    expires = values.get("expires") if is_table else None
    sound = (
        is_table
        and set(values) <= {"role", "sha256", "expires"}
        and values["role"] in list(Role)
        and bool(_DIGEST.fullmatch(str(values["sha256"])))
        and (expires is None or type(expires) is date)
        and bool(_NAME.fullmatch(name))
    )
    if not sound:
        raise InputError(f"a bad table [tokens.{name}] in {path}", wanted, _ADVICE)
    return _Entry(Bearer(name, Role(values["role"])), values["sha256"], expires)
