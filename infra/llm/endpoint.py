"""Where requests go, and what the operator guarantees about that place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from infra.egress import Egress, Guarantee, check_egress, is_loopback, is_plain_url
from infra.errors import SettingsError


@dataclass(frozen=True, repr=False)
class Endpoint:
    """A chat-completions server; part of the place, never of a request's identity.

    Args:
        base_url: up to and including ``/v1`` for OpenAI's kind; the resource's URL for Azure.
        guarantee: what the operator declares; loopback needs no declaration.
        api_version: Azure only.
        rules: digest of the code that answers, where that is ours; stored answers of other rules
            are not replayed.

    Raises:
        SettingsError: the URL is not http or https with a host, or no header can hold the key.
    """

    base_url: str
    api_key: SecretStr
    guarantee: Guarantee = Guarantee.NONE
    kind: Literal["openai", "azure"] = "openai"
    api_version: str = "2024-10-21"
    rules: str = ""

    def __post_init__(self) -> None:
        if not is_plain_url(self.base_url):
            raise SettingsError(
                f"language model URL '{_without_login(self.base_url)}'",
                "http(s)://host[:port]/v1",
                "set CXR_LLM_BASE_URL",
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self.api_key.get_secret_value().strip(" ")):
            raise SettingsError(
                "a language model key that is empty or holds other than plain ASCII letters",
                "the key as its issuer gave it, in one line",
                "correct or unset CXR_LLM_API_KEY",
            )

    def __repr__(self) -> str:
        """Host and kind; neither key nor a login in the address."""
        return f"Endpoint({self.host!r}, {self.guarantee!s}, {self.kind})"

    @property
    def host(self) -> str:
        """Host and port, as the audit log names it."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.base_url)

    def admit(self, source: str, rule: Egress) -> None:
        """Raise EgressRefused unless text of ``source`` may be sent here."""
        check_egress(source, rule, self.base_url, self.guarantee)


def _without_login(url: str) -> str:
    """What may be printed of an address."""
    scheme, mark, rest = url.rpartition("//")
    return scheme + mark + rest.rpartition("@")[2]
