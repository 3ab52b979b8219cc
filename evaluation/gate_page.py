"""A gate's outcome for readers: Markdown and a page, both without any text of the data."""

from __future__ import annotations

from evaluation.gate_outcome import Outcome
from evaluation.templating import render_page

NOT_MEDICAL = "Not a medical device: for research and development only."


def title_of(outcome: Outcome) -> str:
    """``llava_rad version 3 against version 2: passed``."""
    verdict = "passed" if outcome.passed else "refused"
    against = f"version {outcome.against}" if outcome.against else "no champion"
    return f"{outcome.model} version {outcome.version} against {against}: {verdict}"


def as_markdown(outcome: Outcome) -> str:
    """A table with a line for each check."""
    lines = [f"# {title_of(outcome)}", "", NOT_MEDICAL, ""]
    lines += ["| check | passed | reason |", "|---|---|---|"]
    for check in outcome.checks:
        reason = check.reason.replace("|", "\\|")
        lines.append(f"| {check.title} | {'yes' if check.passed else '**no**'} | {reason} |")
    lines += ["", f"Wanted use: {outcome.use}. Outcome {outcome.digest}."]
    return "\n".join(lines) + "\n"


def render_gate(outcome: Outcome) -> str:
    """The page as HTML, one file, nothing fetched."""
    return render_page("gate.html.j2", outcome=outcome, title=title_of(outcome))
