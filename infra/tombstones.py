"""Who has withdrawn, without saying who: keyed digests under the data root.

``withdrawn/key.json`` holds a random key of this data root, ``withdrawn/<digest>.json`` one record
for each subject or study that was forgotten. A digest is an HMAC of the persons' source, the kind
of id and the id: it tells an id that is read again, and no id can be read from it. Who has both the
key and a list of ids can try them, as ingestion does; so the key is its owner's alone to read.

    tombstones = read_tombstones(store)
    tombstones.covers("mimic_cxr", "10000032", "50414267")
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from infra.errors import ArtifactError
from infra.fingerprint import canonical_json
from infra.record_file import read_record, sealed
from infra.store import Store

FOLDER: Final = "withdrawn"
_KEY: Final = f"{FOLDER}/key.json"
_KEY_BYTES: Final = 32  # as long as the digest, as RFC 2104 advises
_DIGITS: Final = 32
"""Hexadecimal digits of a digest: 128 bits, so that no two ids ever share one."""

Kind = Literal["subject", "study"]


@dataclass(frozen=True)
class Tombstone:
    """One withdrawal.

    Args:
        learned: folder of each stage that had learned from it, and when that stage was made.
        removed: how much was removed, by kind.
    """

    digest: str
    kind: Kind
    withdrawn_at: str
    learned: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tombstones:
    """The key of a data root, and the digests that lie there; without a key there are none."""

    key: bytes = b""
    digests: frozenset[str] = frozenset()

    def digest(self, persons: str, kind: Kind, identifier: str) -> str:
        """The digest of one id; ``persons`` is the source whose ids these are."""
        told = canonical_json([persons, kind, identifier]).encode()
        return hmac.new(self.key, told, sha256).hexdigest()[:_DIGITS]

    def covers(self, persons: str, owner: str | None, study_id: str) -> bool:
        """Whether a study is withdrawn, by itself or with its subject.

        Args:
            owner: the subject; the study itself where no subject is known.
        """
        if not self.digests:
            return False
        names = [self.digest(persons, "subject", owner or study_id)]
        names.append(self.digest(persons, "study", study_id))
        return any(name in self.digests for name in names)


def read_tombstones(store: Store) -> Tombstones:
    """What lies under the data root; a record's name alone counts, so that a damaged one does too.

    Raises:
        ArtifactError: the key is damaged or gone: those who withdrew could not be told.
    """
    names = store.list_folder(FOLDER)
    if not names:
        return Tombstones()
    record = read_record(store, _KEY)
    digests = frozenset(name.removesuffix(".json") for name in names) - {"key"}
    if record is None:
        raise ArtifactError(
            f"no sound key at {store.root}/{_KEY}, without which nobody knows who withdrew; "
            "restore it from a backup before anything is ingested"
        )
    return Tombstones(bytes.fromhex(record["key"]), digests)


def read_records(store: Store) -> list[Tombstone]:
    """The sound records, by digest."""
    found = []
    for digest in sorted(read_tombstones(store).digests):
        record = read_record(store, f"{FOLDER}/{digest}.json")
        if record is not None:
            found.append(Tombstone(**record))
    return found


def make_key(store: Store) -> Tombstones:
    """The same, with a key made where there is none."""
    if not store.exists(_KEY):
        store.write_new(_KEY, sealed({"key": secrets.token_hex(_KEY_BYTES)}))
        if store.is_local:
            Path(store.path(_KEY)).chmod(0o600)
    return read_tombstones(store)


def write_tombstone(store: Store, tombstone: Tombstone) -> None:
    """Write a record, over an earlier one of the same digest."""
    store.overwrite(f"{FOLDER}/{tombstone.digest}.json", sealed(asdict(tombstone)))


def read_tombstone(store: Store, digest: str) -> Tombstone | None:
    """One record, None where it is absent or damaged."""
    record = read_record(store, f"{FOLDER}/{digest}.json")
    return None if record is None else Tombstone(**record)


def withdrawn_from(store: Store, stages: Mapping[str, str]) -> int:
    """How many of those who withdrew had been learned from by any of these stages.

    Args:
        stages: folder and time of making; one that was made anew since knows nothing of them.
    """
    return sum(
        any(stages.get(folder) == made for folder, made in tombstone.learned.items())
        for tombstone in read_records(store)
    )
