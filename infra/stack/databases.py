"""Make Prefect's and MLflow's databases, each owned by a role of its own, as often as is asked.

python -m infra.stack.databases STACK
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import asyncpg

from infra.stack.place import LOOPBACK, Place, read_place
from infra.stack.postgres import SUPERUSER

DATABASES = ("prefect", "mlflow")
_PATIENCE_SECONDS = 60.0
"""Our choice: a server that was killed replays its log before it lets anybody in."""


def database_url(place: Place, name: str, driver: str) -> str:
    """SQLAlchemy's URL of a database, with its password."""
    password, port = place.passwords[f"{name}_database"], place.ports["postgres"]
    return f"postgresql+{driver}://{name}:{password}@{LOOPBACK}:{port}/{name}"


async def make_databases(place: Place) -> None:
    """Roles and databases that are not there are made."""
    connection = await _connect(place)
    try:
        for name in DATABASES:
            # Neither can be a parameter; the names are ours and the passwords hexadecimal digits.
            role = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
            verb = "ALTER" if role else "CREATE"
            password = int(place.passwords[f"{name}_database"], 16)
            await connection.execute(f"{verb} ROLE {name} LOGIN PASSWORD '{password:040x}'")
            found = "SELECT 1 FROM pg_database WHERE datname = $1"
            if not await connection.fetchval(found, name):
                await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
                await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    finally:
        await connection.close()


async def _connect(place: Place) -> asyncpg.Connection:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await asyncpg.connect(
                host=LOOPBACK,
                port=place.ports["postgres"],
                user=SUPERUSER,
                password=place.passwords["postgres"],
                database="postgres",
            )
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(make_databases(read_place(Path(sys.argv[1]))))
