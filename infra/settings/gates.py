"""What a candidate must show: ``infra/gates.toml``, or a file of an operator's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from infra.errors import SettingsError
from infra.licences import Use
from infra.settings.abilities import AbilityKind
from infra.settings.sections import Section, wanted

FILE: Final = Path(__file__).parent.parent / "gates.toml"


class GateMetric(Section):
    """One metric; ``margin`` is on the metric's own scale."""

    metric: str = Field(min_length=1)
    rule: Literal["not worse", "better"] = "not worse"
    margin: float = Field(ge=0, allow_inf_nan=False)


class Gate(Section):
    """What an ability must show.

    Args:
        kind: of ability.
        models: names of registered models; empty means all.
        scales: of recipes; empty means all.
        fewest_subjects: what the test set must have of what intervals draw: subjects, or films of
            questions.
        controls: which must be beaten, with an interval that excludes zero.
        beats_controls_in: the metric in which.
    """

    kind: AbilityKind
    models: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()
    fewest_subjects: int = Field(ge=1)
    controls: tuple[str, ...] = ()
    beats_controls_in: str = Field(min_length=1)
    metrics: tuple[GateMetric, ...] = Field(min_length=1)

    def fits(self, kind: AbilityKind, model: str, scale: str) -> bool:
        """Whether it is about such an ability."""
        named = not self.models or model in self.models
        return self.kind == kind and named and (not self.scales or scale in self.scales)


class Gates(Section):
    """All of a file; ``use`` is what is wanted of a model."""

    use: Use = Use.RESEARCH
    gates: tuple[Gate, ...]

    def gate(self, kind: AbilityKind, model: str, scale: str) -> Gate:
        """The first that fits.

        Raises:
            SettingsError: none does, and without a gate nothing passes.
        """
        for gate in self.gates:
            if gate.fits(kind, model, scale):
                return gate
        raise SettingsError(
            f"no gate for an ability of kind {kind} of {model} at scale '{scale}'",
            "one that fits, for without a gate nothing is promoted",
            "add it to the file of gates",
        )


def load_gates(file: Path | None = None) -> Gates:
    """Read gates.

    Raises:
        SettingsError: the file is not there or does not fit.
    """
    place = file or FILE
    advice = "see infra/gates.toml for the form"
    try:
        return Gates.model_validate(tomllib.loads(place.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"no gates at {place}", "a TOML file of gates", advice) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{place}: {error}", "a TOML file of gates", advice) from error
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise SettingsError(f"'{at}' of {place.name}", wanted(first), advice) from error
