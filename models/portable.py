"""A saved model names no place: its libraries write where their inputs lay, on one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PLACES = frozenset({"_name_or_path", "base_model_name_or_path"})
"""Keys under which transformers and peft note the folder that a part was loaded from."""


def forget_places(folder: Path) -> None:
    """Empty those keys in every configuration below, and drop peft's page, which repeats them."""
    for path in sorted(folder.rglob("*config.json")):
        config = json.loads(path.read_text())
        _forget(config)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for page in folder.rglob("README.md"):
        page.unlink()


def _forget(value: Any) -> None:
    if isinstance(value, dict):
        for key in PLACES & value.keys():
            value[key] = None if key == "base_model_name_or_path" else ""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _forget(inner)
