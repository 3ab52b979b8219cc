"""The language model of a run: one client, connected when the first answer is needed.

The embedded offline server answers where the environment names no endpoint. A recipe that asks for
another model than ``offline-rules`` must be given one: rules never pass for a model.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType

from infra.errors import SettingsError
from infra.llm import Client, Endpoint, Limits
from infra.settings.environment import Environment
from tasks.reports.offline_answers import MODEL
from tasks.reports.offline_server import offline_server


class Teacher:
    """A context manager; ``client`` connects on first call and is shared between threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self, model: str) -> Client:
        """The connected client.

        Raises:
            SettingsError: ``model`` needs an endpoint and none is set, or the endpoint's model is
                the offline rules while a real endpoint is set.
        """
        with self._lock:
            if self._client is None:
                endpoint = self._endpoint(model)
                limits = Limits(concurrency=self._environment.llm_concurrency)
                client = Client(endpoint, self._environment.state, limits)
                self._client = self._stack.enter_context(client)
            return self._client

    def _endpoint(self, model: str) -> Endpoint:
        environment = self._environment
        if environment.llm_base_url is not None:
            return Endpoint(
                environment.llm_base_url,
                environment.llm_api_key,
                environment.llm_guarantee,
                environment.llm_kind,
            )
        if model != MODEL:
            raise SettingsError(
                f"model '{model}' without an endpoint",
                "the address of a server that has it",
                f"set CXR_LLM_BASE_URL, or --set reports.model={MODEL} for the embedded rules",
            )
        return self._stack.enter_context(offline_server())

    def __enter__(self) -> Teacher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
