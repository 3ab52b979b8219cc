"""The lock file is whole: no package comes in a version that nobody chose."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from make_lock import pins

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


def test_the_lock_names_all_that_was_resolved_but_us_and_no_build() -> None:
    found = [("torch", "2.13.0+cpu"), ("PyYAML", "6.0.3"), ("cxrflow", "0.1.0")]
    report = {"install": [{"metadata": {"name": name, "version": at}} for name, at in found]}
    assert pins(report) == ["PyYAML==6.0.3", "torch==2.13.0"]


def test_every_file_that_the_makefile_runs_is_there() -> None:
    text = (HOUSE / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"(?:python|bash|PYTHON\)) (?:-m )?(tests[./]\S+)", text, re.IGNORECASE)
    paths = [name if "/" in name else name.replace(".", "/") + ".py" for name in named]
    assert len(paths) >= 7
    assert [path for path in paths if not (HOUSE / path).is_file()] == []
