"""A candidate's evaluation: judged by the gate against the present champion."""

from __future__ import annotations

from prefect import flow

from tasks.promote.task import CandidateOrder, judge_and_record


@flow(name="judge candidate", flow_run_name="judge {asked.model} version {asked.version}")
def judge_candidate(asked: CandidateOrder) -> str:
    """The verdict on one line; ``cxr promote`` decides."""
    return judge_and_record(asked)
