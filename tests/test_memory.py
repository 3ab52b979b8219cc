"""Freed memory stays with the process where glibc is there to be told so."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from infra.memory import keep_freed_memory

PROBE = """
import resource, sys
from infra.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(30_000_000)
before = faults()
for _ in range(20):
    one, other = bytearray(b"x" * 9_000_000), bytearray(b"y" * 9_000_000)
    del one, other
print(faults() - before)
"""


def page_faults(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_kept_memory_is_not_cleared_again() -> None:
    assert keep_freed_memory() is True
    assert page_faults("keep") < page_faults("leave") / 3


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
