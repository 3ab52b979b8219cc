"""Where METEOR 1.5 is: its jar and table of paraphrases among the weights, and a Java to run it.

    program = find_meteor(settings.score.encoders, environment.weights_root)

Nothing is run but ``java -version``, and nothing is downloaded: the program is published under
terms of its own and is no part of this package.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from evaluation.encoders import place_of, shown_place
from infra.errors import Unavailable
from infra.fingerprint import stat_digest
from infra.settings.sections import EncoderSettings

JAR: Final = "meteor-1.5.jar"
PARAPHRASES: Final = "data/paraphrase-en.gz"
HEAP: Final = "-Xmx2G"
"""As COCO's caller sets it; the table of paraphrases takes most of a gigabyte."""
_VERSION_SECONDS = 60.0
"""Our choice: ``java -version`` takes a tenth of a second, much more on a machine that is busy."""
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
"""``1.8.0_292`` is Java 8, ``17.0.15`` Java 17."""


@dataclass(frozen=True)
class MeteorProgram:
    """A METEOR that can be run: ``java`` is a program, ``folder`` holds the jar and its data."""

    java: Path
    folder: Path

    @property
    def digest(self) -> str:
        """Digest of the files by name, size and time, wherever the folder lies."""
        return stat_digest(self.folder, (JAR, PARAPHRASES))

    @cached_property
    def weights(self) -> str:
        """sha256 of the jar, then of the table of paraphrases."""
        digests = []
        for name in (JAR, PARAPHRASES):
            with (self.folder / name).open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return " ".join(digests)

    @cached_property
    def java_major(self) -> int:
        """17 of Java 17.

        Raises:
            Unavailable: what is called java does not run, or does not say its version.
        """
        try:
            told = subprocess.run(
                [self.java, "-version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(
                f"{self.java} does not run ({type(error).__name__}); METEOR needs a Java that does"
            ) from None
        found = _VERSION.search((told.stderr + told.stdout).decode("utf-8", "replace"))
        if told.returncode != 0 or found is None:
            raise Unavailable(
                f"'{self.java} -version' ended with {told.returncode} and "
                f"{'a' if found else 'no'} version; METEOR needs a Java that runs"
            )
        return int(found[1])

    @property
    def command(self) -> list[str]:
        """As COCO's caller starts it: English, normalised, one question a line."""
        switches = ["-", "-", "-stdio", "-l", "en", "-norm"]
        return [str(self.java), HEAP, "-jar", JAR, *switches]


def find_meteor(
    settings: EncoderSettings, root: Path | None, variables: Mapping[str, str] = os.environ
) -> MeteorProgram | str:
    """The program, or what is missing and where it goes.

    Args:
        root: the folder that the settings' folders lie under.
        variables: ``JAVA_HOME``, if set, says which Java; otherwise it is looked for on ``PATH``.
    """
    place = place_of(root, settings.meteor)
    files = [name for name in (JAR, PARAPHRASES) if place is None or not (place / name).is_file()]
    lacking = [f"{' and '.join(files)} in {shown_place(settings.meteor)}"] if files else []
    java = _java(variables)
    if isinstance(java, str):
        lacking.append(java)
    elif place is not None and not files:
        return MeteorProgram(java, place)
    return f"needs {' and '.join(lacking)}"


def _java(variables: Mapping[str, str]) -> Path | str:
    """A set JAVA_HOME that holds no Java is told rather than passed over: some other Java than the
    one that was asked for would not be seen."""
    home = variables.get("JAVA_HOME")
    where = str(Path(home) / "bin") if home else variables.get("PATH", os.defpath)
    found = shutil.which("java", path=where)
    if found:
        return Path(found).absolute()
    return "bin/java in JAVA_HOME" if home else "Java (no java on PATH, and JAVA_HOME is not set)"
