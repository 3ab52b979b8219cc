"""Where PadChest's images lie: listed once, out of folders and zips, without opening any image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from sources.raw_files import RawFileError, RawFolder, is_storable

BROKEN: Final[frozenset[str]] = frozenset(
    f"216840111366964{tail}.png"
    for tail in (
        "012989926673512011083134050913_00-168-009",
        "012989926673512011151082430686_00-157-045",
        "012373310883942009152114636712_00-102-045",
        "012819207061112010281134410801_00-129-131",
        "012487858717522009280135853083_00-075-001",
        "013686042548532013208193054515_02-026-007",
        "013590140476722013058110301622_02-056-111",
        "013590140476722013043111952381_02-065-198",
        "013829543166512013353113303615_02-092-190",
        "013962490064942014134093945580_01-178-104",
    )
)
"""Published with a bad chunk (the first two) or truncated: the list of torchxrayvision 1.x."""

MISSING: Final[frozenset[str]] = frozenset(
    f"216840111366964{tail}.png"
    for tail in (
        "012819207061112010307142602253_04-014-084",
        "012989926673512011074122523403_00-163-058",
        "012959786098432011033083840143_00-176-115",
        "012558082906712009327122220177_00-102-064",
        "012339356563862009072111404053_00-043-192",
        "013076187734852011291090445391_00-196-188",
        "012373310883942009117084022290_00-064-025",
        "012283393834152009033102258826_00-059-087",
        "012373310883942009170084120009_00-097-074",
        "012819207061112010315104455352_04-024-184",
        "012819207061112010306085429121_04-020-102",
    )
)
"""In the table and in no archive of the publisher: the same list."""


@dataclass(frozen=True)
class Found:
    """What is on disk.

    Args:
        images: columns ``name``, ``holder`` (the ImageDir, null where flat) and ``uri``.
        archives: columns ``holder`` and ``fault`` of the zips that cannot be read.
    """

    images: pa.Table
    archives: pa.Table


def find_images(root: Path) -> Found:
    """List ``root`` and ``root/images``: PNG files, numbered folders and numbered zips."""
    rows: list[tuple[str, str | None, str]] = []
    faults: list[tuple[str, str]] = []
    for base in (root, root / "images"):
        for path in sorted(base.iterdir()) if base.is_dir() else ():
            if not is_storable(path.name):
                continue
            if path.suffix == ".png":
                rows.append((path.name, None, path.relative_to(root).as_posix()))
            elif path.name.isdigit() and path.is_dir():
                rows += _in_folder(root, path)
            elif path.suffix == ".zip" and path.stem.isdigit():
                try:
                    rows += _in_zip(root, path)
                except RawFileError as error:
                    faults.append((path.stem, error.detail))
    names = ("name", "holder", "uri")
    return Found(
        images=pa.Table.from_pylist(
            [dict(zip(names, row, strict=True)) for row in rows],
            schema=pa.schema([(name, pa.string()) for name in names]),
        ),
        archives=pa.Table.from_pylist(
            [{"holder": holder, "fault": fault} for holder, fault in faults],
            schema=pa.schema([("holder", pa.string()), ("fault", pa.string())]),
        ),
    )


def _in_folder(root: Path, folder: Path) -> Iterator[tuple[str, str | None, str]]:
    for path in sorted(folder.glob("*.png")):
        if is_storable(path.name):
            yield path.name, folder.name, path.relative_to(root).as_posix()


def _in_zip(root: Path, archive: Path) -> Iterator[tuple[str, str | None, str]]:
    place = archive.relative_to(root).as_posix()
    with RawFolder(root) as folder:
        for member in folder.members(place):
            if member.endswith(".png"):
                yield PurePosixPath(member).name, archive.stem, f"{place}!{member}"
