"""``make audit``: the lock file's pins, the locked packages' licences, and known vulnerabilities.

    python -m tests.audit [--json]

Exit codes: 0 nothing found; 1 something is wrong; 3 nothing was found, but known vulnerabilities
could not be looked up (no network, or no answer), which the last line says as ``unavailable``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

HOUSE: Final = Path(__file__).resolve().parents[1]
LOCK: Final = HOUSE / "requirements.lock"
RULES: Final = HOUSE / "tests" / "audit.toml"
CLEAN, FOUND, UNAVAILABLE = 0, 1, 3
TIMEOUT_S: Final = 300.0
"""Our choice: some 250 look-ups take a minute."""
_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)")
_OWN: Final = {"cxrflow", "pip", "setuptools", "wheel"}
Licences = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One part of an audit: what is wrong, and what was looked at, in words."""

    name: str
    found: tuple[str, ...]
    about: str
    unavailable: str = ""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> tuple[dict[str, str], list[str]]:
    """Version by package, and lines that pin nothing."""
    pins: dict[str, str] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.partition("#")[0].strip().rstrip("\\").strip()
        if not bare or bare.startswith("--hash="):
            continue
        found = _PIN.match(bare)
        if found is None:
            wrong.append(f"line {number} pins no version: {bare[:60]}")
        elif normal(found["name"]) in pins:
            wrong.append(f"line {number} pins {found['name']} again")
        else:
            pins[normal(found["name"])] = found["version"]
    return pins, wrong


def audit_pins(text: str, installed: Mapping[str, Distribution]) -> Part:
    """Every line an exact version, each once; what a locked package needs is locked too."""
    pins, wrong = read_pins(text)
    hashes = len(re.findall(r"--hash=", text))
    if hashes and hashes < len(pins):
        wrong.append(f"{len(pins)} packages and {hashes} hashes: all or none")
    for name in sorted(pins.keys() & installed.keys()):
        found = installed[name]
        if found.version.partition("+")[0] != pins[name]:
            wrong.append(f"{name} {found.version} is installed, and {pins[name]} locked")
        wrong += [f"{name} needs {each}, which is not locked" for each in _needs(found, pins)]
    absent = len(pins.keys() - installed.keys())
    told = "by version alone, for the build of torch is the platform's" if not hashes else "hashed"
    return Part("pins", tuple(wrong), f"{len(pins)} packages, {told}; {absent} not installed here")


def _needs(package: Distribution, pins: Mapping[str, str]) -> list[str]:
    """What it needs on this platform, without its extras, and the lock lacks."""
    wanted = [Requirement(line) for line in package.requires or ()]
    asked = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [each.name for each in asked if normal(each.name) not in {*pins, *_OWN}]


def audit_licences(
    pins: Mapping[str, str], installed: Mapping[str, Distribution], rules: Licences
) -> Part:
    """Every locked package's terms are on the list, or an exception says why it may stay."""
    wrong, counted = [], 0
    for name in sorted(pins.keys() & installed.keys()):
        counted += 1
        terms = terms_of(installed[name])
        if name not in rules["exceptions"] and not is_allowed(terms, rules):
            wrong.append(f"{name}: {' / '.join(terms) or 'no licence told'}")
    idle = sorted(set(rules["exceptions"]) - set(pins))
    wrong += [f"an exception for {name}, which is not locked" for name in idle]
    return Part(
        "licences", tuple(wrong), f"{counted} packages, {len(rules['exceptions'])} exceptions"
    )


def terms_of(package: Distribution) -> list[str]:
    """The SPDX expression, else the classifiers, else the first line of the licence field."""
    told = package.metadata
    expression = told.get("License-Expression")
    if expression:
        return [expression]
    classes = [
        each.rpartition("::")[2].strip()
        for each in told.get_all("Classifier") or []
        if each.startswith("License ::")
    ]
    known = [each for each in classes if each not in ("OSI Approved", "DFSG approved")]
    line = (told.get("License") or "").strip().splitlines()[:1]
    return known or [each.strip() for each in line if each.strip()]


def is_allowed(terms: list[str], rules: Licences) -> bool:
    """Whether all that is told is allowed; of ``A OR B`` one is enough."""
    allowed, names = set(rules["allowed"]), rules["names"]

    def is_known(expression: str) -> bool:
        inner = expression.strip().removeprefix("(").removesuffix(")")
        if expression in names:
            return names[expression] in allowed
        if inner in allowed:
            return True
        for word, enough in ((" OR ", any), (" AND ", all)):
            parts = _split(expression, word)
            if len(parts) > 1:
                return enough(is_known(part) for part in parts)
        return len(inner) < len(expression) and is_known(inner)

    return bool(terms) and all(is_known(each) for each in terms)


def _split(expression: str, word: str) -> list[str]:
    """Parts at a word that stands in no brackets."""
    parts, depth, last = [], 0, 0
    for place, letter in enumerate(expression):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and expression.startswith(word, place):
            parts.append(expression[last:place].strip())
            last = place + len(word)
    return [*parts, expression[last:].strip()]


def audit_vulnerabilities(lock: Path) -> Part:
    """Known vulnerabilities of the locked versions, by pip-audit; it asks the package index."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps",
               "--disable-pip", "--format", "json", "--progress-spinner", "off"]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Part("vulnerabilities", (), "none looked up", f"no answer in {TIMEOUT_S:.0f} s")
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Part("vulnerabilities", (), "none looked up", last[:200])
    return read_vulnerabilities(told)


def read_vulnerabilities(told: Mapping[str, Any]) -> Part:
    """pip-audit's answer; a package that it could not look up makes the part unavailable."""
    skipped = [each["name"] for each in told["dependencies"] if "skip_reason" in each]
    found = tuple(
        f"{each['name']} {each['version']}: {one['id']}"
        + (f", mended in {one['fix_versions'][0]}" if one.get("fix_versions") else "")
        for each in told["dependencies"]
        for one in each.get("vulns", ())
    )
    looked = len(told["dependencies"]) - len(skipped)
    why = f"{len(skipped)} packages not looked up: {', '.join(skipped[:3])}" if skipped else ""
    return Part("vulnerabilities", found, f"{looked} packages looked up", why)


def exit_code(parts: list[Part]) -> int:
    if any(part.found for part in parts):
        return FOUND
    return UNAVAILABLE if any(part.unavailable for part in parts) else CLEAN


def shown(parts: list[Part]) -> str:
    """A line for each part, and one for each thing that is wrong; what is unavailable last."""
    lines = []
    for part in parts:
        verdict = (
            "unavailable" if part.unavailable and not part.found else f"{len(part.found)} found"
        )
        lines.append(f"{part.name:<16} {verdict:<12} {part.about}")
        lines += [f"  {each}" for each in part.found]
    lines += [f"{p.name}: unavailable: {p.unavailable}" for p in parts if p.unavailable]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Look at the lock file of this checkout with what is installed."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args(arguments)
    text = LOCK.read_text(encoding="utf-8")
    installed = {normal(str(each.metadata["Name"])): each for each in distributions()}
    rules = tomllib.loads(RULES.read_text(encoding="utf-8"))
    pins, _ = read_pins(text)
    parts = [
        audit_pins(text, installed),
        audit_licences(pins, installed, rules),
        audit_vulnerabilities(LOCK),
    ]
    told = json.dumps([asdict(part) for part in parts], indent=1) + "\n"
    sys.stdout.write(told if asked.json else shown(parts))
    return exit_code(parts)


if __name__ == "__main__":
    sys.exit(main())
