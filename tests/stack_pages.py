"""Prefect's and MLflow's own pages of a stack, in a real Chromium.

``python -m tests.stack_pages STACK_FOLDER`` keeps pictures of them for docs/images: of a stack
whose last runs were on replicas alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chromium import UNAVAILABLE, Page, find_chromium, open_page
from tests.pictures import keep
from tests.stack_world import StackWorld

REPORTER = "llava_rad"
DRAWN_SECONDS = 10.0
"""Our choice: graphs of both are drawn in steps, and tell nobody when they are done."""
CLOSE_HELP = "document.querySelector('button[aria-label=Close]')?.click()"
BADGES = "[...document.querySelectorAll('span.state-badge, .state-badge')].map(e => e.innerText)"


@dataclass
class ServerPages:
    """A page that is signed in.

    Args:
        prefect: where Prefect's pages are, without a slash at the end.
        login: user and password of Prefect's server, with a colon between.
        mlflow: where MLflow's pages are.
    """

    page: Page
    prefect: str
    login: str
    mlflow: str

    def sign_in(self) -> None:
        """As its page for it does: the browser keeps what was typed."""
        self.page.go(self.prefect)
        self.page.run(f"localStorage.setItem('prefect-password', btoa({self.login!r}))")

    def read(self, address: str, *words: str) -> str:
        """All text of a page, as soon as it has those words.

        Pages are built by script, long after they are loaded: the words are what is waited for.
        """
        self.page.go("about:blank")  # a change behind # alone would load nothing
        self.page.go(address)
        text = ""

        def is_told() -> bool:
            nonlocal text
            text = str(self.page.run("document.body.innerText"))
            return all(word in text for word in words)

        self.page.wait(is_told, f"{', '.join(words)} on {address}")
        return text

    def settle(self) -> None:
        """Wait for what is drawn after its words, and put MLflow's offer of help away."""
        self.page.run(CLOSE_HELP)
        until = time.monotonic() + DRAWN_SECONDS
        self.page.wait(lambda: time.monotonic() > until, "")

    def strangers(self) -> list[str]:
        """Addresses that pages fetched from elsewhere."""
        own = (self.prefect, self.mlflow, "data:", "blob:", "about:", "chrome")
        return [address for address in self.page.asked if not address.startswith(own)]

    def states(self) -> set[str]:
        """Those of the runs that Prefect's page lists."""
        return {str(word).strip() for word in self.page.run(BADGES) if word}

    def plots(self) -> int:
        """How many curves are drawn."""
        return int(self.page.run("document.querySelectorAll('path.js-line').length"))


def longest_run(world: StackWorld) -> dict[str, str]:
    """Of the completed runs that nobody else started, the one with most to do."""
    wanted = {"parent_task_run_id": {"is_null_": True}, "state": {"type": {"any_": ["COMPLETED"]}}}
    found: list[dict[str, str]] = world.prefect("/flow_runs/filter", {"flow_runs": wanted})
    return max(found, key=lambda each: float(each["total_run_time"]))


def stage_run(world: StackWorld, name: str) -> str:
    """Address, behind the server's, of the newest MLflow run of a stage."""
    found = world.mlflow(f"/experiments/get-by-name?experiment_name={REPORTER}")
    experiment = found["experiment"]["experiment_id"]
    wanted = {"experiment_ids": [experiment], "filter": f"attributes.run_name = '{name}'"}
    [run, *_] = world.mlflow("/runs/search", wanted)["runs"]
    return f"/#/experiments/{experiment}/runs/{run['info']['run_id']}/model-metrics"


@contextmanager
def server_pages(world: StackWorld, program: str) -> Iterator[ServerPages]:
    """Signed in to a stack's servers."""
    told = world.variables()
    prefect = told["PREFECT_API_URL"].removesuffix("/api")
    with open_page(program) as page:
        pages = ServerPages(
            page, prefect, told["PREFECT_API_AUTH_STRING"], told["CXR_MLFLOW_URI"].rstrip("/")
        )
        pages.sign_in()
        yield pages


def take(world: StackWorld, pages: ServerPages) -> None:
    """Four pictures, of a run and its model."""
    run = longest_run(world)
    pages.page.look(False, 1360, 900)
    for name, address, words in (
        ("prefect-run", f"{pages.prefect}/runs/flow-run/{run['id']}", (run["name"],)),
        ("prefect-cached", f"{pages.prefect}/runs?tab=task-runs", ("Cached",)),
        ("mlflow-model", f"{pages.mlflow}/#/models/{REPORTER}/versions/1", ("candidate",)),
        ("mlflow-stage", f"{pages.mlflow}{stage_run(world, 'finetune')}", ("loss",)),
    ):
        pages.read(address, *words)
        pages.settle()
        keep(pages.page, name)


def main() -> None:
    """Take them all."""
    program = find_chromium()
    if program is None:
        sys.exit(UNAVAILABLE)
    world = StackWorld(Path(sys.argv[1]))
    with server_pages(world, program) as pages:
        take(world, pages)


if __name__ == "__main__":
    main()
