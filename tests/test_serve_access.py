"""Which names a server without tokens answers to."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from infra.tokens import Role
from tasks.serve.access import Access, host_name
from tasks.serve.refused import Refused

OPEN = Access("127.0.0.1", None)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST.", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
    ],
)
def test_this_machine_is_answered_by_each_of_its_names(given: str, name: str) -> None:
    request = make_mocked_request("GET", "/v1/models", headers={"Host": given})
    assert host_name(request) == name
    assert OPEN.bearer(request, Role.PROMOTER).name == "local"


@pytest.mark.parametrize(
    "given",
    [
        *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("[::1].evil", "[::1]evil:80", "user@127.0.0.1", "127.0.0.1:80:80", "a b", ""),
    ],
)
def test_a_strangers_name_that_leads_here_is_refused(given: str) -> None:
    request = make_mocked_request("GET", "/v1/models", headers={"Host": given})
    with pytest.raises(Refused) as refused:
        OPEN.bearer(request, Role.VIEWER)
    assert (refused.value.status, refused.value.code) == (403, "other_host")
