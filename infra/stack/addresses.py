"""What a program must know to use the stack: environment variables, also as a file for a shell."""

from __future__ import annotations

import shlex

from infra.stack.place import Place, write_private

DATA_BUCKET, MODEL_BUCKET = "cxrflow", "mlflow"
REGION = "us-east-1"
"""Signatures name a region; the store has none. This one is what clients take by default."""
_ACCOUNT = "cxrflow"
NOT_OURS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "PREFECT_PROFILE")
"""A person's own; they would lead a client elsewhere."""


def addresses(place: Place) -> dict[str, str]:
    """Variables of every process that uses the stack; some hold passwords."""
    objects, mlflow = place.url("objects"), place.url("mlflow")
    return {
        "CXR_DATA_ROOT": f"s3://{DATA_BUCKET}/data",
        "CXR_STATE_DIR": str(place.root / "state"),
        "CXR_MLFLOW_URI": mlflow,
        "AWS_ENDPOINT_URL": objects,
        "AWS_ACCESS_KEY_ID": _ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": place.passwords["objects"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_S3_ENDPOINT_URL": objects,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_API_URL": f"{place.url('prefect')}/api",
        "PREFECT_API_AUTH_STRING": prefect_login(place),
        "PREFECT_HOME": str(place.root / "prefect"),
        **PATIENCE,
        **QUIET,
    }


PATIENCE = {
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_API_REQUEST_TIMEOUT": "120",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "180",
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "8",
}
"""A server that was killed takes up to 30 s on two busy cores until it answers again, and Prefect's
answers 500 while its database does not let it in. Our choice: a client waits for some minutes."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "cxrflow",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def prefect_login(place: Place) -> str:
    """What Prefect's pages ask for: whoever may start a run there runs code as this user."""
    return f"{_ACCOUNT}:{place.passwords['prefect']}"


def write_shell_file(place: Place) -> None:
    """``env.sh``: a shell that sources it, and the ``cxr`` command in it, use the stack."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in addresses(place).items()]
    text = "\n".join(
        ["# Source this file. It holds passwords.", f"unset {' '.join(NOT_OURS)}", *lines]
    )
    write_private(place.root / "env.sh", text)
