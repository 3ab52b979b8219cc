"""The language model of a run: one client, connected when the first answer is needed.

The embedded offline server answers where the environment names no endpoint. A recipe that asks
for another model than ``offline-rules``, to write or to judge, must be given one: rules never pass
for a model.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType

from infra.errors import SettingsError
from infra.llm import BatchRule, Client, Endpoint, Limits
from infra.settings.environment import Environment
from tasks.reports.offline_answers import MODEL
from tasks.reports.offline_server import offline_server


def require_endpoint(environment: Environment, model: str) -> None:
    """Raise SettingsError unless there is a server that ``model`` can be asked of."""
    if environment.llm_base_url is None and model != MODEL:
        raise SettingsError(
            f"model '{model}' without an endpoint",
            "the address of a server that has it",
            f"set CXR_LLM_BASE_URL, or ask for {MODEL}, the embedded rules, in reports.model and "
            "score.judges",
        )


def named_endpoint(environment: Environment) -> Endpoint | None:
    """The server that the environment names, if any."""
    if environment.llm_base_url is None:
        return None
    return Endpoint(
        environment.llm_base_url,
        environment.llm_api_key,
        environment.llm_guarantee,
        environment.llm_kind,
    )


def batch_rule(environment: Environment) -> BatchRule:
    """When a run of this environment makes batches."""
    return BatchRule(
        environment.llm_batch, environment.llm_deadline_hours, environment.llm_batch_smallest
    )


class Teacher:
    """A context manager; ``client`` connects on first call and is shared between threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self, *models: str) -> Client:
        """The connected client, for questions to these models.

        Raises:
            SettingsError: a model needs an endpoint and none is set.
        """
        for model in models:
            require_endpoint(self._environment, model)
        with self._lock:
            if self._client is None:
                endpoint = named_endpoint(self._environment)
                if endpoint is None:
                    endpoint = self._stack.enter_context(offline_server())
                limits = Limits(
                    concurrency=self._environment.llm_concurrency,
                    budget_usd=self._environment.llm_budget_usd,
                    requests_per_minute=self._environment.llm_requests_per_minute,
                    tokens_per_minute=self._environment.llm_tokens_per_minute,
                )
                rule = batch_rule(self._environment)
                client = Client(endpoint, self._environment.state, limits, rule)
                self._client = self._stack.enter_context(client)
            return self._client

    def __enter__(self) -> Teacher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
