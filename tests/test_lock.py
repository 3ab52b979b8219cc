"""The lock file is whole: no package comes in a version that nobody chose."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


def locked() -> dict[str, str]:
    """Name and version of every line of the lock file that is a package."""
    lines = (HOUSE / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = (re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", line) for line in lines)
    return {normal(pin[1]): pin[2] for pin in pins if pin}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_that_the_project_names_is_pinned() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"]]
    for extra in project.get("optional-dependencies", {}).values():
        named += extra
    wanted = {normal(re.split(r"[\[<>=!~; ]", item)[0]) for item in named}
    assert wanted - {normal(project["name"])} <= set(locked())


def test_what_is_installed_lacks_nothing() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout
