"""What a kind of stage is to reach on a device: ``bars.toml``, and a verdict against it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from infra.errors import SettingsError
from infra.settings.sections import Section, Share, wanted
from infra.settings.stages import StageKind

FILE = Path(__file__).parent / "bars.toml"
Method = Literal["lora", "whole"]
LEAST = ("useful_tokens_per_second", "mfu")
MOST = ("data_wait_share", "peak_memory_gib")
FIGURES = ("useful_tokens_per_second", "examples_per_second", "images_per_second", "mfu",
           "data_wait_share", "peak_memory_gib")  # fmt: skip
"""The numbers of a trainer's ``throughput``; one that was not measured is null."""
NO_BAR = "no bar for this device"


class Bar(Section):
    """Expectations of the stages that fit; figures that are not given are not expected.

    Args:
        device: pattern searched for in the device's name; a stage without a GPU runs on ``CPU``.
        kinds: kinds of stage; empty means all.
        method: adapters or whole weights; None means both.
        parameters: fewest and most of the model; None means any. A bar for 7B says nothing of
            another size.
        origin: where the figures come from.
    """

    device: str = Field(min_length=1)
    kinds: tuple[StageKind, ...] = ()
    method: Method | None = None
    parameters: tuple[float, float] | None = None
    origin: str = Field(min_length=1)
    useful_tokens_per_second: float | None = Field(default=None, gt=0)
    mfu: Share | None = None
    data_wait_share: Share | None = None
    peak_memory_gib: float | None = Field(default=None, gt=0)


class Bars(Section):
    """All of ``bars.toml``."""

    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Setting:
    """What a stage ran on and what it trained."""

    device: str
    kind: StageKind
    method: Method
    parameters: int


@cache
def load_bars(file: Path = FILE) -> tuple[Bar, ...]:
    """The stored bars.

    Raises:
        SettingsError: the file does not fit.
    """
    try:
        return Bars.model_validate(tomllib.loads(file.read_text())).bars
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"'{place}' of {file.name}", wanted(first), "see infra/bars.py for what a bar holds"
        ) from error


@dataclass(frozen=True)
class Verdict:
    """``verdict`` is met, missed, or that no bar is known.

    ``held`` tells each figure that was held, ``missed`` names those that missed.
    """

    verdict: str
    held: dict[str, str]
    missed: tuple[str, ...] = ()


def hold(figures: Mapping[str, float | None], setting: Setting, bars: Sequence[Bar]) -> Verdict:
    """Hold figures against every bar that fits; of two bars for one figure both must be met.

    A figure that could not be measured is not held against anything.
    """
    held: dict[str, str] = {}
    missed: list[str] = []
    for bar in (bar for bar in bars if _fits(bar, setting)):
        for name in (*LEAST, *MOST):
            wished, found = getattr(bar, name), figures.get(name)
            if wished is None or found is None or name in missed:
                continue
            met = found >= wished if name in LEAST else found <= wished
            if not met:
                missed.append(name)
            bound = "at least" if name in LEAST else "at most"
            verdict = "met" if met else "missed"
            held[name] = f"{found:.6g}, {verdict}: {bound} {wished:.6g} ({bar.origin})"
    if not held:
        return Verdict(NO_BAR, {})
    return Verdict("missed" if missed else "met", held, tuple(missed))


def _fits(bar: Bar, setting: Setting) -> bool:
    fewest, most = bar.parameters or (0.0, float("inf"))
    return (
        re.search(bar.device, setting.device) is not None
        and (not bar.kinds or setting.kind in bar.kinds)
        and bar.method in (None, setting.method)
        and fewest <= setting.parameters <= most
    )
