"""A stand-in for the METEOR program that nobody here wrote: a script that answers its protocol.

It aligns equal words alone, and behaves badly where a file says so; the folder it lies in is laid
out as METEOR 1.5 is published. The true program is used where ``CXR_WEIGHTS_ROOT`` holds it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

from evaluation.meteor_program import JAR, PARAPHRASES, MeteorProgram, find_meteor
from infra.settings.sections import EncoderSettings

SCRIPT: Final = """#!{python}
import json, os, sys, time
from pathlib import Path

mode = {mode!r}
place = Path({place!r})
with (place / "started").open("a") as file:
    file.write(json.dumps(dict(pid=os.getpid(), argv=sys.argv[1:], cwd=os.getcwd(),
                               key="CXR_LLM_API_KEY" in os.environ)) + "\\n")
if sys.argv[1:] == ["-version"]:
    sys.stderr.write({version!r} + "\\n")
    sys.exit({version_code})
if mode == "no machine":
    sys.stderr.write("Picked up JAVA_TOOL_OPTIONS: -Da=b\\nInvalid maximum heap size: -Xmx2G\\n"
                     "Error: Could not create the Java Virtual Machine.\\n")
    sys.exit(1)
if mode == "damaged table":
    sys.stderr.write("java.io.EOFException: Unexpected end of ZLIB input stream\\n\\tat a.b.C\\n")
    sys.stderr.flush()
if mode == "hangs at start":
    time.sleep(600)

def statistics(reference, prediction):
    one, other = reference.split(), prediction.split()
    equal = sum(min(one.count(word), other.count(word)) for word in set(one))
    chunks = 1 if equal and reference.strip() == prediction.strip() else equal
    return [len(other), len(one), 0, 0, equal, equal, *[0] * 14, chunks, equal, equal]

asked = 0
for line in sys.stdin.buffer:
    with (place / "asked").open("ab") as file:
        file.write(line)
    kind, *parts = line.decode("utf-8").rstrip("\\n").split(" ||| ")
    if kind == "EVAL":
        print("\\n".join({scores!r}), flush=True)
        continue
    asked += 1
    if asked > 2:
        if mode == "hangs":
            time.sleep(600)
        if mode == "dies":
            sys.stderr.write('Exception in thread "main" java.lang.OutOfMemoryError: ' + parts[1])
            sys.exit(1)
        if mode == "is killed":
            os.kill(os.getpid(), 9)
        if mode == "falls silent":
            os.close(1)
            time.sleep(600)
        if mode in ("words", "few numbers", "nan", "endless"):
            told = dict(words=parts[1], endless="1.0 " * 100_000)
            told |= {{"few numbers": "1.0 2.0", "nan": "nan " * 23}}
            print(told[mode], flush=True)
            continue
    print(*map(float, statistics(*parts)), flush=True)
if mode == "stays":
    time.sleep(600)
"""

KNOWN_SCORES: Final = ("1.0", "0.14814814814814814", "0.33086493379395415")
"""What the true program answers of ``meteor_process.KNOWN_PAIRS``: each, then both together."""
OPENJDK: Final = 'openjdk version "17.0.15" 2025-04-15'


def lay_out(root: Path) -> Path:
    """The folder ``meteor-1.5`` with stand-ins for its two files."""
    folder = root / "meteor-1.5"
    for name in (JAR, PARAPHRASES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def write_java(
    folder: Path,
    mode: str = "",
    *,
    scores: tuple[str, ...] = KNOWN_SCORES,
    version: str = OPENJDK,
    version_code: int = 0,
) -> Path:
    """A ``java`` that runs the stand-in; what it was asked is left beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    java = folder / "java"
    java.write_text(
        SCRIPT.format(
            python=sys.executable,
            mode=mode,
            place=str(folder),
            version=version,
            version_code=version_code,
            scores=scores,
        )
    )
    java.chmod(0o755)
    return java


def stand_in(folder: Path, mode: str = "", **changes: object) -> MeteorProgram:
    """A program of the stand-in."""
    java = write_java(folder / "bin", mode, **changes)  # type: ignore[arg-type]
    return MeteorProgram(java, lay_out(folder))


def true_program() -> MeteorProgram:
    """METEOR 1.5 itself; the test is skipped with what is missing where it is not here."""
    root = os.environ.get("CXR_WEIGHTS_ROOT")
    found = find_meteor(EncoderSettings(), Path(root) if root else None)
    if isinstance(found, str):
        pytest.skip(f"METEOR {found}")
    return found
