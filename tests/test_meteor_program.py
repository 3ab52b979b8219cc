"""Where METEOR is looked for, and what is said where a part of it is missing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from meteor_world import lay_out, stand_in, write_java
from pydantic import ValidationError

from evaluation.meteor_program import JAR, PARAPHRASES, MeteorProgram, find_meteor
from infra.errors import Unavailable
from infra.settings.sections import EncoderSettings

SETTINGS = EncoderSettings()
NO_JAVA = "needs Java (no java on PATH, and JAVA_HOME is not set)"


def on_path(folder: Path) -> dict[str, str]:
    return {"PATH": str(write_java(folder / "bin").parent)}


def found(root: Path, variables: dict[str, str]) -> MeteorProgram:
    program = find_meteor(SETTINGS, root, variables)
    assert isinstance(program, MeteorProgram), program
    return program


def test_a_whole_folder_and_a_java_on_path(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    program = found(tmp_path, on_path(tmp_path))
    assert (program.java, program.folder) == (tmp_path / "bin" / "java", folder)
    assert program.command == [
        *(str(tmp_path / "bin" / "java"), "-Xmx2G", "-jar", JAR),
        *("-", "-", "-stdio", "-l", "en", "-norm"),
    ]


def test_each_missing_part_has_a_reason_of_its_own(tmp_path: Path) -> None:
    java = on_path(tmp_path)
    folder = lay_out(tmp_path)
    place = "in $CXR_WEIGHTS_ROOT/meteor-1.5"
    assert find_meteor(SETTINGS, tmp_path, {"PATH": str(tmp_path)}) == NO_JAVA
    (folder / PARAPHRASES).unlink()
    assert find_meteor(SETTINGS, tmp_path, java) == f"needs data/paraphrase-en.gz {place}"
    (folder / JAR).unlink()
    assert find_meteor(SETTINGS, tmp_path, java) == (
        f"needs meteor-1.5.jar and data/paraphrase-en.gz {place}"
    )
    (folder / PARAPHRASES).write_text("x")
    assert find_meteor(SETTINGS, tmp_path, java) == f"needs meteor-1.5.jar {place}"
    assert find_meteor(SETTINGS, None, {"PATH": ""}) == (
        f"needs meteor-1.5.jar and data/paraphrase-en.gz {place} and "
        "Java (no java on PATH, and JAVA_HOME is not set)"
    )


def test_java_home_wins_and_is_not_passed_over(tmp_path: Path) -> None:
    lay_out(tmp_path)
    other = write_java(tmp_path / "jdk" / "bin")
    variables = on_path(tmp_path) | {"JAVA_HOME": str(tmp_path / "jdk")}
    assert found(tmp_path, variables).java == other
    other.unlink()
    assert find_meteor(SETTINGS, tmp_path, variables) == "needs bin/java in JAVA_HOME"
    assert found(tmp_path, variables | {"JAVA_HOME": ""}).java == tmp_path / "bin" / "java"


def test_a_java_that_may_not_be_run_is_none(tmp_path: Path) -> None:
    lay_out(tmp_path)
    variables = on_path(tmp_path)
    (tmp_path / "bin" / "java").chmod(0o644)
    assert find_meteor(SETTINGS, tmp_path, variables) == NO_JAVA


def test_the_folder_is_a_setting(tmp_path: Path) -> None:
    lay_out(tmp_path / "elsewhere")
    settings = EncoderSettings(meteor=str(tmp_path / "elsewhere" / "meteor-1.5"))
    program = find_meteor(settings, None, on_path(tmp_path))
    assert isinstance(program, MeteorProgram)
    absent = EncoderSettings(meteor="cmu/meteor")
    told = find_meteor(absent, tmp_path, on_path(tmp_path))
    assert isinstance(told, str) and told.endswith("in $CXR_WEIGHTS_ROOT/cmu/meteor")
    with pytest.raises(ValidationError):
        EncoderSettings(meteor=3)  # type: ignore[arg-type]


def test_a_signature_has_the_sha256_of_both_files(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    expected = [hashlib.sha256(name.encode()).hexdigest() for name in (JAR, PARAPHRASES)]
    assert program.weights.split() == expected


def test_the_digest_is_of_the_files_and_not_of_their_place(tmp_path: Path) -> None:
    programs = [stand_in(tmp_path / name) for name in ("a", "b")]
    for program in programs:
        for name in (JAR, PARAPHRASES):
            os.utime(program.folder / name, (1e9, 1e9))
    one, other = programs
    assert one.digest == other.digest
    (other.folder / PARAPHRASES).write_text("another table")
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ('Picked up _JAVA_OPTIONS: -Xss1m\\nopenjdk version "11.0.2" 2019', 11),
    ],
)
def test_the_major_version_of_java(tmp_path: Path, version: str, major: int) -> None:
    assert stand_in(tmp_path, version=version.replace("\\n", "\n")).java_major == major


def test_a_java_that_does_not_run_is_told(tmp_path: Path) -> None:
    silent = stand_in(tmp_path / "a", version="nothing of the kind")
    with pytest.raises(Unavailable, match="ended with 0 and no version"):
        _ = silent.java_major
    failing = stand_in(tmp_path / "b", version_code=3)
    with pytest.raises(Unavailable, match="ended with 3 and a version"):
        _ = failing.java_major
    program = stand_in(tmp_path / "c")
    program.java.write_bytes(b"\x7fnot a program")
    with pytest.raises(Unavailable, match="does not run"):
        _ = program.java_major
