"""Holds a request against its AWS Signature Version 4, so that a secret key is asked for.

On a machine that several people use, each of them can reach every loopback port.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/s3"
    r"/aws4_request), *SignedHeaders=(?P<signed>[\w;-]+), *Signature=(?P<signature>[0-9a-f]{64})$"
)


def is_signed(
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    access_key: str,
    secret_key: str,
) -> bool:
    """Whether the request was signed with that key.

    Args:
        raw_path, raw_query: as they came, percent-encoded.
        headers: looked up without regard to case.
    """
    told = _HEADER.match(headers.get("Authorization", ""))
    if told is None or told["key"] != access_key:
        return False
    signed = told["signed"].split(";")
    canonical = "\n".join(
        [
            method,
            raw_path,
            _canonical_query(raw_query),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            told["signed"],
            headers.get("x-amz-content-sha256", ""),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    message = "\n".join(["AWS4-HMAC-SHA256", headers.get("x-amz-date", ""), told["scope"], digest])
    key = _chain(f"AWS4{secret_key}".encode(), (told["day"], told["region"], "s3", "aws4_request"))
    expected = hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, told["signature"])


def _chain(key: bytes, words: Sequence[str]) -> bytes:
    for word in words:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


def _canonical_query(raw: str) -> str:
    pairs = [part.partition("=")[::2] for part in raw.split("&") if part]
    encoded = [
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))
