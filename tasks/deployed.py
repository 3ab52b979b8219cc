"""Starting a run of a deployment for an event: once, however often the event is delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from infra.errors import CxrError, InputError


def start_once(name: str, parameters: Mapping[str, Any], key: str, tags: Sequence[str]) -> str:
    """Start a run of ``FLOW/DEPLOYMENT`` and say which, on one line.

    Args:
        key: names the event; Prefect starts no second run for it.

    Raises:
        InputError: there is no such deployment.
        CxrError: Prefect's server does not answer.
    """
    try:
        run = run_deployment(
            name,
            parameters=dict(parameters),
            timeout=0,
            as_subflow=False,
            idempotency_key=key,
            tags=list(tags),
        )
    except ObjectNotFound:
        raise InputError(
            f"no deployment '{name}'", "FLOW/DEPLOYMENT", "see 'prefect deployment ls'"
        ) from None
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise CxrError(f"Prefect's server gave no answer: {type(error).__name__}") from error
    return f"flow run {run.id} of {name}"  # type: ignore[union-attr]  # no coroutine here
