"""One text version of a study, as every later step reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from sources.record import SECTIONS, Origin, SectionedBy, SectionedText

KEEP = "keep"
KEEP_LLM = "keep-llm"


@dataclass(frozen=True)
class Report:
    """One version of a study's report; ``version`` is unique within the study.

    The last six fields say which model wrote it and at what price; all are None for ``keep``.
    """

    source: str
    study_id: str
    version: str
    origin: Origin
    sectioned_by: SectionedBy
    language: str
    indication: str | None = None
    technique: str | None = None
    comparison: str | None = None
    findings: str | None = None
    impression: str | None = None
    prompt_version: str | None = None
    model: str | None = None
    request_hash: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


REPORT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("sectioned_by", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in SECTIONS),
        pa.field("prompt_version", pa.string()),
        pa.field("model", pa.string()),
        pa.field("request_hash", pa.string()),
        pa.field("input_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
        pa.field("cost_usd", pa.float64()),
    ]
)
assert REPORT_SCHEMA.names == [item.name for item in fields(Report)]


def reports_to_table(reports: list[Report]) -> pa.Table:
    """Rows of REPORT_SCHEMA, in the given order."""
    return pa.Table.from_pylist([asdict(report) for report in reports], schema=REPORT_SCHEMA)


def sections_of(text: SectionedText) -> dict[str, str]:
    """The sections that hold anything, by name."""
    found: dict[str, Any] = {name: getattr(text, name) for name in SECTIONS}
    return {name: value.strip() for name, value in found.items() if value and value.strip()}
