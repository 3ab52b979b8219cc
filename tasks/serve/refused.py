"""What a client is told when it gets no answer, in OpenAI's form."""

from __future__ import annotations

from typing import Any

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          429: "rate_limit_error"}  # fmt: skip


class Refused(Exception):
    """A request ends with this status.

    Args:
        code: a word that a program can tell it by.
        message: for a person; one line, without anything of what was sent.
        parameter: which part of the request it is about.
        after: seconds after which to ask again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        parameter: str | None = None,
        after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.parameter, self.after = parameter, after

    def headers(self) -> dict[str, str]:
        told = {} if self.after is None else {"Retry-After": str(self.after)}
        return told if self.status != 401 else {**told, "WWW-Authenticate": "Bearer"}

    def body(self) -> dict[str, Any]:
        """As OpenAI's errors are."""
        return error_body(self.status, self.code, self.message, self.parameter)


def error_body(
    status: int, code: str, message: str, parameter: str | None = None
) -> dict[str, Any]:
    """An error of that status in OpenAI's form."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def bad(found: str, expected: str, advice: str, parameter: str) -> Refused:
    """A part of the request that is wrong."""
    message = f"found {found}; expected {expected}; {advice}"
    return Refused(400, "invalid_value", message, parameter=parameter)
