"""What every answer says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from infra.tracking_models import Version

NOTICE = "Not a medical device: what a model says or draws must not guide anybody's care."
NOTICE_HEADER = "X-Not-A-Medical-Device"
MODEL_HEADER = "X-Cxr-Model"
REQUEST_HEADER = "X-Request-Id"


def notice_headers(version: Version | None, key: str) -> Mapping[str, str]:
    """Notice, model and request id; a name that would break a header is percent-encoded."""
    told = {NOTICE_HEADER: NOTICE, REQUEST_HEADER: key}
    return told if version is None else {**told, MODEL_HEADER: quote(str(version), safe="/")}
