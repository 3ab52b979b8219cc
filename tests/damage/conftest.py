"""The sound trees, written once for all families."""

from __future__ import annotations

import pytest

from tests.damage.worlds import Trees


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    return Trees(tmp_path_factory.mktemp("sound"))
