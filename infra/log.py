"""One logger for the house: level, place and message on one line; never report text or secrets."""

from __future__ import annotations

import logging

from infra.errors import SettingsError

_NAME = "cxrflow"
LOGGER = logging.getLogger(_NAME)


def set_up_logging(level: str = "INFO") -> None:
    """Log to stderr at the given level.

    Raises:
        SettingsError: no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise SettingsError(f"log level '{level}'", "DEBUG, INFO, WARNING or ERROR", "correct it")
    if not any(handler.name == _NAME for handler in LOGGER.handlers):
        handler = logging.StreamHandler()
        handler.name = _NAME
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S")
        )
        LOGGER.addHandler(handler)
    LOGGER.setLevel(number)
    LOGGER.propagate = False
