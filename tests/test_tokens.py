"""The token file: written by one command, read again when it changes, and never holding a token."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_world import Say

from infra.errors import InputError
from infra.tokens import Bearer, Role, TokenFile, add_token, digest_of

TODAY = datetime.now(UTC).date()


def test_a_token_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    page = add_token(path, "reading-room", Role.VIEWER)
    nurse = add_token(path, "on_call", Role.OPERATOR, TODAY)
    tokens = TokenFile(path)
    assert tokens.bearer_of(page) == Bearer("reading-room", Role.VIEWER)
    assert tokens.bearer_of(nurse) == Bearer("on_call", Role.OPERATOR)
    for stranger in ("", page[:-1], page + "x", digest_of(page), "\ud800", "é"):
        assert tokens.bearer_of(stranger) is None
    assert page not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert page.startswith("cxr_")
    assert len(page) > 40


def test_roles_include_those_below() -> None:
    assert [role.may(Role.OPERATOR) for role in Role] == [False, True, True]
    assert all(Role.PROMOTER.may(role) for role in Role)
    assert not Role.OPERATOR.may(Role.PROMOTER)


def test_the_last_day_counts_and_the_next_does_not(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    gone = add_token(path, "gone", Role.VIEWER, TODAY - timedelta(days=1))
    last = add_token(path, "last", Role.VIEWER, TODAY)
    tokens = TokenFile(path)
    assert tokens.bearer_of(gone) is None
    assert tokens.bearer_of(last) is not None


def test_what_is_taken_out_of_the_file_is_let_in_no_more(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    first = add_token(path, "first", Role.VIEWER)
    tokens = TokenFile(path)
    second = add_token(path, "second", Role.PROMOTER)
    assert tokens.bearer_of(second) == Bearer("second", Role.PROMOTER)
    text = path.read_text()
    path.write_text(text[text.index("[tokens.second]") :])
    assert tokens.bearer_of(first) is None
    assert tokens.bearer_of(second) is not None


def test_a_file_that_has_become_bad_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.toml"
    token = add_token(path, "first", Role.VIEWER)
    tokens = TokenFile(path)
    good = path.read_text()
    path.write_text("[tokens")
    assert tokens.bearer_of(token) is None
    path.unlink()
    assert tokens.bearer_of(token) is None
    path.write_text(good)
    path.chmod(0o600)
    assert tokens.bearer_of(token) is not None


BAD = {
    "": "without a table [tokens.NAME]",
    "[tokens]": "without a table [tokens.NAME]",
    "not toml": "cannot be read (TOMLDecodeError)",
    "tokens = 3": "without a table [tokens.NAME]",
    '[tokens.a]\nrole = "viewer"': "a bad table [tokens.a]",
    '[tokens.a]\nrole = "king"\nsha256 = "' + "0" * 64 + '"': "a bad table [tokens.a]",
    '[tokens.a]\nrole = "viewer"\nsha256 = "secret"': "a bad table [tokens.a]",
    '[tokens.a]\nrole = "viewer"\nsha256 = "' + "0" * 64 + '"\nmore = 1': "a bad table",
    '[tokens.a]\nrole = "viewer"\nsha256 = "' + "0" * 64 + '"\nexpires = 2027-01-01T00:00:00Z':
        "a bad table",
    '[other]\n[tokens.a]\nrole = "viewer"\nsha256 = "' + "0" * 64 + '"': "without a table",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_told_without_what_it_holds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        TokenFile(path)
    assert BAD[text] in str(error.value)
    assert "secret" not in str(error.value)
    assert "write it with 'cxr token'" in str(error.value)


def test_others_may_not_write_it(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    add_token(path, "first", Role.VIEWER)
    path.chmod(0o620)
    with pytest.raises(InputError, match="which others may write"):
        TokenFile(path)
    with pytest.raises(InputError, match="which others may write"):
        add_token(path, "second", Role.VIEWER)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", 'a"]', "x" * 65, "é"])
def test_a_name_is_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        add_token(tmp_path / "tokens.toml", name, Role.VIEWER)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_a_token_once(cxr: Say, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    said = cxr("token", "ward", "--file", path, "--role", "operator", "--expires", "2999-01-31")
    assert said.code == 0
    assert TokenFile(path).bearer_of(said.out.strip()) == Bearer("ward", Role.OPERATOR)
    assert "expires = 2999-01-31" in path.read_text()
    again = cxr("token", "ward", "--file", path)
    assert again.code == 2
    assert "a new name" in again.err
    as_json = cxr("token", "page", "--file", path, "--json")
    assert '"role": "viewer"' in as_json.out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--role", "king"], "found the role 'king'; expected viewer, operator, promoter"),
        (["--expires", "soon"], "found the day 'soon'; expected YEAR-MONTH-DAY"),
        (["--file", "nowhere/tokens.toml"], "nowhere/tokens.toml, which cannot be written"),
    ],
)
def test_a_bad_command_is_one_line(
    cxr: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cxr("token", "ward", "--file", "tokens.toml", *options)
    assert said.code == 2
    assert line in said.err
    assert not list(Path().iterdir())


def test_equal_files_are_not_read_again(tmp_path: Path) -> None:
    """It is looked at by each request: a stat, no more."""
    path = tmp_path / "tokens.toml"
    token = add_token(path, "first", Role.VIEWER)
    tokens = TokenFile(path)
    held, seen = tokens._entries, path.stat()
    assert tokens.bearer_of(token) is not None
    assert tokens._entries is held
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))
    assert tokens.bearer_of(token) is not None
    assert tokens._entries is not held
