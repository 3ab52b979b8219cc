"""Every error cxrflow raises on purpose.

    CxrError                     anything below; ``str(error)`` is one line
    ├── InputError               what the user gave is wrong: exit code 2
    │   ├── SettingsError        a recipe, ``--set`` or ``CXR_`` variable
    │   ├── SourceError          raw files of a source, as a whole
    │   ├── EgressRefused        text that may not leave for this endpoint
    │   └── Overtaken            another promotion took effect first
    ├── ArtifactError            an artifact that cannot be built or trusted
    ├── WorkerLost               a process that died while it did its piece of a step
    ├── LanguageModelError       an answer that could not be had
    │   └── BudgetExceeded       the money set aside for answers is used up
    ├── Stopped                  a run was asked to stop, and has (``infra.stopping``)
    └── Unavailable              weights, a device or a program that is not here

An ``InputError`` says what was found, what was expected and what to do next. A single bad row or
image is no error: it becomes a rejected row (``sources.record.Rejected``).
"""

from __future__ import annotations

EXIT_BAD_INPUT = 2
EXIT_FAILURE = 1


def one_line(text: str) -> str:
    """A stranger's text for a terminal: no line ends, and no character that would steer it."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


class CxrError(Exception):
    """Base of all errors raised on purpose; its text is one line that steers no terminal."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(CxrError):
    """The user's input is wrong.

    Args:
        found: what was there, with its place.
        expected: what should have been there.
        advice: what to do next.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, found: str, expected: str, advice: str) -> None:
        self.found, self.expected, self.advice = found, expected, advice
        super().__init__(f"found {found}; expected {expected}; {advice}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return type(self), (self.found, self.expected, self.advice)


class SettingsError(InputError):
    """A recipe, an override or an environment variable is wrong."""


class SourceError(InputError):
    """The raw files of a source cannot be read as that source."""


class EgressRefused(InputError):
    """A source's text may not be sent to this endpoint."""


class Overtaken(InputError):
    """A promotion was judged against a champion that another one has replaced meanwhile."""


class ArtifactError(CxrError):
    """An artifact cannot be built, or does not hold what its manifest says."""


class Stopped(CxrError):
    """A run was asked to stop, and has."""


class WorkerLost(CxrError):
    """A worker died of what it did, or its machine did; finished pieces are kept."""

    def __init__(self, runner: str, how: str) -> None:
        self.runner, self.how = runner, how
        super().__init__(
            f"a worker of {runner} was lost at its piece: {how}; finished pieces are kept: "
            "run again, with a smaller CXR_WORKERS where memory is short"
        )

    def __reduce__(self) -> tuple[type[WorkerLost], tuple[str, str]]:
        return type(self), (self.runner, self.how)


class LanguageModelError(CxrError):
    """The language model gave no usable answer."""


class BudgetExceeded(LanguageModelError):
    """The next request may cost more than the budget has left; nothing of it was sent."""


class Unavailable(CxrError):
    """Something optional is not here; the text says what and why."""
