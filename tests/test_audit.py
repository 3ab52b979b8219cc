"""The audit: pins, licences, and an honest word where vulnerabilities cannot be looked up."""

from __future__ import annotations

import json
import tomllib
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests import audit
from tests.audit import (
    CLEAN,
    FOUND,
    LOCK,
    RULES,
    UNAVAILABLE,
    Part,
    audit_licences,
    audit_pins,
    audit_vulnerabilities,
    exit_code,
    is_allowed,
    normal,
    read_pins,
    read_vulnerabilities,
    shown,
    terms_of,
)

TERMS = tomllib.loads(RULES.read_text(encoding="utf-8"))


class Package(Distribution):
    """An installed package in name alone."""

    def __init__(self, name: str, version: str, needs: tuple[str, ...] = (), **told: str) -> None:
        self._told = Message()
        for key, value in {"Name": name, "Version": version, **told}.items():
            self._told[key.replace("_", "-")] = value
        for line in needs:
            self._told["Requires-Dist"] = line

    def read_text(self, filename: str) -> str | None:
        return self._told.as_string() if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise AssertionError(path)


def installed(*packages: Package) -> dict[str, Distribution]:
    return {normal(str(each.metadata["Name"])): each for each in packages}


def test_a_lock_pins_each_package_once() -> None:
    pins, wrong = read_pins("# head\nA.b==1.2\nc[x]==3 # why\nd>=4\na-B==1.2\n\n")
    assert pins == {"a-b": "1.2", "c": "3"}
    assert wrong == ["line 4 pins no version: d>=4", "line 5 pins a-B again"]


def test_what_a_locked_package_needs_is_locked_in_the_version_that_is_installed() -> None:
    need = ("b>=1", "c; extra == 'fast'", "d; python_version < '3'", "setuptools")
    part = audit_pins("a==1\n", installed(Package("A", "1+cpu", need)))
    assert part.found == ("a needs b, which is not locked",)
    part = audit_pins("a==1\nb==2\n", installed(Package("a", "1", need), Package("b", "3")))
    assert part.found == ("b 3 is installed, and 2 locked",)
    assert "by version alone" in part.about


def test_hashes_are_all_or_none() -> None:
    text = "a==1 \\\n    --hash=sha256:00\nb==2\n"
    assert audit_pins(text, {}).found == ("2 packages and 1 hashes: all or none",)
    assert audit_pins(text + "    --hash=sha256:11\n", {}).found == ()


@pytest.mark.parametrize(
    ("terms", "allowed"),
    [
        (["MIT"], True), (["MIT License"], True), (["GPL-3.0-only"], False), ([], False),
        (["GPL-3.0-only OR MIT"], True), (["GPL-3.0-only AND MIT"], False),
        (["MPL-2.0 AND (Apache-2.0 OR MIT)"], True), (["(MIT OR GPL-2.0) AND ISC"], True),
        (["Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND MIT"], True),
        (["MIT License", "GNU General Public License v3 (GPLv3)"], False),
        (["Proprietary"], False),
    ],
)  # fmt: skip
def test_which_terms_are_allowed(terms: list[str], allowed: bool) -> None:
    assert is_allowed(terms, TERMS) is allowed


def test_terms_come_from_the_expression_then_classifiers_then_the_field() -> None:
    assert terms_of(Package("a", "1", License_Expression="MIT", License="GPL")) == ["MIT"]
    told = {"Classifier": "License :: OSI Approved :: BSD License", "License": "words\n more"}
    assert terms_of(Package("a", "1", **told)) == ["BSD License"]
    assert terms_of(Package("a", "1", License="Apache 2.0\n long text")) == ["Apache 2.0"]
    assert terms_of(Package("a", "1")) == []


def test_a_stranger_is_found_and_an_exception_without_a_package_too() -> None:
    rules = {**TERMS, "exceptions": {"gone": "why"}}
    both = installed(Package("a", "1", License_Expression="SSPL-1.0"), Package("b", "1"))
    part = audit_licences({"a": "1", "b": "1"}, both, rules)
    assert part.found == (
        "a: SSPL-1.0",
        "b: no licence told",
        "an exception for gone, which is not locked",
    )


def test_this_checkouts_lock_and_licences_are_clean() -> None:
    """The two parts that need no network."""
    text = LOCK.read_text(encoding="utf-8")
    here = {normal(str(each.metadata["Name"])): each for each in audit.distributions()}
    assert audit_pins(text, here).found == ()
    assert audit_licences(read_pins(text)[0], here, TERMS).found == ()


def test_an_answer_of_pip_audit_is_read() -> None:
    told = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
            {"name": "b", "version": "1", "vulns": []},
            {"name": "c", "skip_reason": "not on the index"},
        ]
    }
    part = read_vulnerabilities(told)
    assert part.found == ("a 1: PYSEC-1, mended in 2",)
    assert part.about == "2 packages looked up"
    assert part.unavailable == "1 packages not looked up: c"


def test_without_a_network_it_says_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip-audit itself, behind a proxy that is not there."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    lock = tmp_path / "requirements.lock"
    lock.write_text("idna==3.10\n")
    part = audit_vulnerabilities(lock)
    assert part.found == ()
    assert part.unavailable
    assert "\n" not in part.unavailable


def test_one_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TIMEOUT_S", 0.05)
    lock = tmp_path / "requirements.lock"
    lock.write_text("idna==3.10\n")
    assert audit_vulnerabilities(lock).unavailable == "no answer in 0 s"


def test_exit_codes_and_the_last_line() -> None:
    clean, wrong = Part("pins", (), "3 packages"), Part("licences", ("a: SSPL",), "3 packages")
    away = Part("vulnerabilities", (), "none looked up", "no network")
    assert exit_code([clean]) == CLEAN
    assert exit_code([clean, away]) == UNAVAILABLE
    assert exit_code([clean, wrong, away]) == FOUND
    lines = shown([clean, wrong, away]).splitlines()
    assert lines[-1] == "vulnerabilities: unavailable: no network"
    assert "  a: SSPL" in lines


def test_the_document_is_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "TIMEOUT_S", 0.05)
    assert audit.main(["--json"]) in (FOUND, UNAVAILABLE)
    parts = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in parts] == ["pins", "licences", "vulnerabilities"]
