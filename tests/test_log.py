"""The house's logger: one line on stderr, set up once, never doubled."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import SettingsError
from infra.log import LOGGER, set_up_logging

HOUSE = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """The logger as it was before the test."""
    handlers, level, propagate = list(LOGGER.handlers), LOGGER.level, LOGGER.propagate
    LOGGER.handlers.clear()
    yield
    LOGGER.handlers[:], LOGGER.propagate = handlers, propagate
    LOGGER.setLevel(level)


def test_levels_by_name_in_any_case() -> None:
    set_up_logging("debug")
    assert LOGGER.level == logging.DEBUG
    set_up_logging("WARNING")
    assert LOGGER.level == logging.WARNING
    assert [handler.name for handler in LOGGER.handlers].count("cxrflow") == 1
    assert not LOGGER.propagate


def test_an_unknown_level_is_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        set_up_logging("chatty")
    assert str(caught.value) == (
        "found log level 'chatty'; expected DEBUG, INFO, WARNING or ERROR; correct it"
    )
    assert "cxrflow" not in [handler.name for handler in LOGGER.handlers]


def test_a_line_is_time_level_and_message_on_stderr() -> None:
    code = (
        "from infra.log import LOGGER, set_up_logging\n"
        "set_up_logging(); set_up_logging('WARNING')\n"
        "LOGGER.info('not shown'); LOGGER.warning('%s is reused', 'images/x')\n"
        "import logging; logging.getLogger('other').warning('another library')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HOUSE, check=True
    )
    assert done.stdout == ""
    ours, other = done.stderr.splitlines()
    assert ours[2] == ours[5] == ":"
    assert ours[8:] == " W images/x is reused"
    assert other == "another library"
