"""What a person or a schedule asks of the watch over a champion."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from tasks.context import Order


class MonitorOrder(BaseModel):
    """A parameter of the flow, with what Prefect's pages show of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default="llava_rad", min_length=1, description="Name of the registered model."
    )
    order: Order = Field(
        default=Order(), description="The recipe whose sources are read for what is new."
    )
    since: date | None = Field(
        default=None, description="Leaves out studies acquired before that day, or on no known one."
    )
    until: date | None = Field(
        default=None, description="Leaves out studies acquired after that day, or on no known one."
    )
    yearly_false_alarms: float = Field(
        default=0.05, gt=0, le=1, description="Chance of any false alarm in a year."
    )
    looks_per_year: int = Field(
        default=366, ge=1, le=10_000, description="How many looks a year may have at most."
    )
