"""Links from Prefect's pages to the reading room, where the environment says where that is."""

from __future__ import annotations

from urllib.parse import quote

from prefect.artifacts import create_link_artifact

from infra.settings.environment import load_environment

KEY = "reading-room"


def link_run(run_id: str, title: str) -> None:
    """Have this flow run show a link to its page; without an address there is none."""
    place = _place()
    if place:
        text = "its funnel, steps, calls and scores"
        create_link_artifact(f"{place}/runs/{quote(run_id)}", f"{title}: {text}", KEY)


def described(folder: str) -> str:
    """An artifact's folder as the description of a table: a link to its lineage, or its name."""
    place = _place()
    return f"[{folder}]({place}/lineage/{quote(folder)})" if place else folder


def _place() -> str:
    return (load_environment().ui_url or "").rstrip("/")
