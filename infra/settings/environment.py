"""The place: where data, state, servers and keys are. Never fingerprinted, never logged.

Every field can be set as ``CXR_<NAME>``; a source's raw data lies at ``CXR_SOURCE_<NAME>``.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.egress import Guarantee
from infra.errors import SettingsError
from infra.settings.sections import wanted
from infra.workers import NEEDS, Runner

SOURCE_PREFIX = "CXR_SOURCE_"
_PREFIX = "CXR_"
_TOO_CLOSE = 0.85
"""Similarity (difflib ratio) that counts as a slip of the pen: CXR_DATAROOT for CXR_DATA_ROOT is
0.96, CXR_PUBLIC_DATA for it 0.64. Our choice."""

MOST_LOADERS = 4
"""Per training rank (our choice: a core decodes a film of 518 px in 1.3 ms, so four give some 3,000
a second)."""


class Environment(BaseSettings):
    """Where this process works.

    ``llm_base_url`` None means the embedded offline server; ``mlflow_uri`` None means SQLite and
    files under the data root's state folder. ``runner`` is who does the pieces of ingestion and
    scoring, ``workers`` how many of them, ``runner_address`` a Dask or Ray cluster that is there;
    ``loader_workers`` those that read films beside each training rank, None as many as suit;
    ``weights_root`` is the folder with one folder for each published model that a recipe names.
    ``rendezvous`` is the ``host:port`` of one node, where the others find it; ``node_starter`` are
    words before a command that start it on all nodes, and None leaves the others to a person.
    ``llm_deadline_hours`` is when a run's answers are wanted, None at once; with a day or more,
    ``llm_batch`` lets jobs of ``llm_batch_smallest`` requests go through the Batch API.
    ``llm_budget_usd`` is all that this data root may ever spend; the two limits per minute are what
    the account admits, None where that is not known. ``webhook_secret`` is what MLflow's webhooks
    are signed with. ``ui_url`` is where the reading room answers, for links to it.
    """

    model_config = SettingsConfigDict(
        env_prefix="CXR_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    data_root: str = Field(default="data", min_length=1)
    state_dir: Path | None = None
    workers: int = Field(default_factory=lambda: max(1, len(os.sched_getaffinity(0))), ge=1)
    runner: Runner = "processes"
    runner_address: str | None = None
    loader_workers: int | None = Field(default=None, ge=0)
    processes_per_node: int = Field(default=1, ge=1, description="training ranks; one per GPU")
    nodes: int = Field(default=1, ge=1, description="machines that train together")
    rendezvous: str | None = None
    node_starter: str | None = None
    weights_root: Path | None = None
    mlflow_uri: str | None = None
    webhook_secret: SecretStr | None = Field(default=None, min_length=16)
    ui_url: str | None = Field(default=None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    llm_base_url: str | None = None
    llm_api_key: SecretStr = SecretStr("not-needed")
    llm_kind: Literal["openai", "azure"] = "openai"
    llm_guarantee: Guarantee = Guarantee.NONE
    llm_concurrency: int = Field(default=32, ge=1)
    llm_batch: Literal["off", "auto", "always"] = "auto"
    llm_batch_smallest: int = Field(default=1000, ge=1)
    llm_deadline_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    llm_budget_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    llm_requests_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    llm_tokens_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @property
    def loader_workers_per_rank(self) -> int:
        """As set, or a rank's share of the cores but one, which trains; MOST_LOADERS at most."""
        if self.loader_workers is not None:
            return self.loader_workers
        share = len(os.sched_getaffinity(0)) // self.processes_per_node
        return max(0, min(MOST_LOADERS, share - 1))

    @property
    def state(self) -> Path:
        """The local folder for locks, caches and databases."""
        if self.state_dir is not None:
            return self.state_dir.absolute()
        if "://" in self.data_root:
            raise SettingsError(
                f"data root {self.data_root} without a local state folder",
                "a local folder for locks, caches and databases",
                "set CXR_STATE_DIR",
            )
        return Path(self.data_root).absolute() / ".state"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI; SQLite in the state folder by default."""
        return self.mlflow_uri or f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"


def load_environment(**overrides: object) -> Environment:
    """Read ``CXR_`` variables; keyword arguments that are not None win.

    Raises:
        SettingsError: a value has the wrong type; the value itself is not repeated, for it may
            be a secret.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    _refuse_misspelt()
    try:
        found = Environment(**given)  # type: ignore[arg-type]  # pydantic converts
    except ValidationError as error:
        first = error.errors()[0]
        name = f"CXR_{'_'.join(str(part) for part in first['loc'])}".upper()
        raise SettingsError(
            f"a bad value in {name}", wanted(first), f"correct or unset {name}"
        ) from None
    if found.runner_address is not None and found.runner not in NEEDS:
        raise SettingsError(
            f"CXR_RUNNER_ADDRESS beside CXR_RUNNER={found.runner}",
            f"it beside {' or '.join(NEEDS)} alone",
            "unset it, or set CXR_RUNNER",
        )
    return found


def _refuse_misspelt() -> None:
    """A variable that is nearly one of ours would be ignored, and the run go elsewhere."""
    known = [f"{_PREFIX}{name.upper()}" for name in Environment.model_fields]
    for name in sorted(os.environ):
        if not name.startswith(_PREFIX) or name.startswith(SOURCE_PREFIX) or name in known:
            continue
        close = get_close_matches(name, known, n=1, cutoff=_TOO_CLOSE)
        if close:
            raise SettingsError(f"the variable {name}", f"{close[0]}", f"rename or unset {name}")


def without_password(place: str) -> str:
    """A URL as it may be shown: its password, if it has one, as ``***``."""
    parts = urlsplit(place)
    if parts.password is None:
        return place
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:***@{host}").geturl()


def source_roots(given: list[str]) -> dict[str, Path]:
    """Raw data folders by source name, from the environment and ``name=path`` options.

    Raises:
        SettingsError: an option is not ``name=path``.
    """
    roots = {
        key.removeprefix(SOURCE_PREFIX).lower(): Path(value)
        for key, value in os.environ.items()
        if key.startswith(SOURCE_PREFIX) and value
    }
    for option in given:
        name, equals, path = option.partition("=")
        if not equals or not name or not path:
            raise SettingsError(
                f"--source {option}", "--source name=path", "name a source of 'cxr sources'"
            )
        roots[name] = Path(path)
    return {name: path.absolute() for name, path in sorted(roots.items())}
