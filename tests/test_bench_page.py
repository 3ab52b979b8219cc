"""The benchmarks' page: sections are replaced one by one."""

from __future__ import annotations

from pathlib import Path

from tests.bench.page import TITLE, put_section


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    put_section("one", "first", page)
    put_section("two", "second", page)
    before = page.read_text()
    put_section("one", "first", page)
    assert page.read_text() == before
    put_section("one", "other\nwords", page)
    found = page.read_text()
    assert found.startswith(TITLE) and found.count("<!-- one -->") == 1
    assert "first" not in found and "second" in found
    assert found.index("other\nwords") < found.index("second")
