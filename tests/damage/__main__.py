"""Write docs/bad-input.md from the catalogue."""

from __future__ import annotations

from tests.damage.page import PAGE, page_text

PAGE.write_text(page_text())
