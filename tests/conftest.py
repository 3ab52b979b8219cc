"""What all tests share: no call home, and the real public data where it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

for name, value in (
    ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
    ("DO_NOT_TRACK", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("OMP_NUM_THREADS", "1"),
):
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder with ``nih_cxr14/``, ``openi/`` and ``vqa_rad/``; read-only."""
    place = os.environ.get("CXR_PUBLIC_DATA")
    if not place:
        pytest.skip("CXR_PUBLIC_DATA is not set: it names the folder of real public data")
    root = Path(place)
    assert root.is_dir(), f"CXR_PUBLIC_DATA names {root}, which is no folder"
    return root
