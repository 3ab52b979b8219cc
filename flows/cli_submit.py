"""The command that writes a submission to RRG24's leaderboards."""

from __future__ import annotations

import json
from pathlib import Path

from infra.launch import Event
from infra.log import LOGGER
from tasks.context import Order, open_context
from tasks.submit.work import write_submission


def submit(order: Order, part: str, folder: Path, fill: str | None, *, as_json: bool) -> None:
    """Answer a part of the task's data and print which files hold how many rows."""
    context = open_context(order, make=False)
    receipt = write_submission(context, part, folder, fill, _follow)
    if as_json:
        print(json.dumps(receipt, indent=1))
        return
    for file in receipt["files"]:
        filled = f", {file['filled']:,} of them filled" if file["filled"] else ""
        print(
            f"{folder / file['text_file']}: {file['rows']:,} rows{filled}, sha256 {file['sha256']}"
        )
    if receipt["replica"]:
        print("SYNTHETIC: the test set is a replica's; nothing here may be handed in")


def _follow(event: Event) -> None:
    if event["event"] == "progress":
        LOGGER.info("answers: %d of %d", event["step"], event["steps"])
