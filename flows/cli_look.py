"""The commands that look at the house without running a flow."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from infra.errors import InputError
from infra.settings import load_settings, preset_names
from infra.settings.environment import Environment, load_environment, without_password
from infra.store import explained_place, make_folder
from sources.catalog import catalog, get_source
from sources.replicas.truth import ReplicaSpec
from tasks.context import open_store
from tasks.monitor.doctor import examine


def show_sources(name: str | None, *, as_json: bool) -> None:
    """All cards as a table, or one card with its raw layout."""
    chosen = [get_source(name)] if name else list(catalog().values())
    if as_json:
        print(json.dumps([asdict(source.card) for source in chosen], indent=1))
        return
    if name is None:
        print(f"{'source':12} {'access':24} {'text may leave':15} {'replica':8} title")
        for source in chosen:
            card = source.card
            replica = "yes" if source.write_replica else "no"
            print(f"{card.name:12} {card.access:24} {card.llm_egress:15} {replica:8} {card.title}")
        return
    card = chosen[0].card
    for key, value in asdict(card).items():
        print(f"{key:16} {value}")
    print()
    print(inspect.getdoc(import_module(chosen[0].module)))


def show_presets(*, as_json: bool) -> None:
    """Recipes and the scales each has."""
    pairs = preset_names()
    if as_json:
        print(json.dumps([{"recipe": recipe, "scale": scale} for recipe, scale in pairs], indent=1))
        return
    for recipe, scale in pairs:
        print(f"--recipe {recipe} --scale {scale}")


def show_config(recipe: str, scale: str, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """The whole recipe, and the place without its secrets."""
    settings = load_settings(recipe, scale, overrides)
    place = _shown_place(load_environment())
    if as_json:
        both = {"settings": settings.model_dump(mode="json"), "environment": place}
        print(json.dumps(both, indent=1))
        return
    print(_lines("", settings.model_dump(mode="json")))
    print()
    for key, value in place.items():
        print(f"CXR_{key.upper()} = {'(not set)' if value is None else value}")


def _shown_place(environment: Environment) -> dict[str, str | None]:
    """Every field as text, without the key and without passwords in URLs."""
    shown = {
        key: None if value is None else without_password(str(value))
        for key, value in environment.model_dump().items()
    }
    return {
        **shown,
        "llm_api_key": "set" if "llm_api_key" in environment.model_fields_set else None,
    }


def _lines(prefix: str, value: object) -> str:
    """``key.path = value`` lines that ``--set`` accepts; a stage is named by its name."""
    if isinstance(value, dict) and value:
        return "\n".join(_lines(f"{prefix}.{key}".lstrip("."), item) for key, item in value.items())
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n".join(_lines(f"{prefix}.{item['name']}", item) for item in value)
    return f"{prefix} = {json.dumps(value)}"


def show_doctor(data_root: str | None, *, as_json: bool) -> bool:
    """What is well and what is not; True when nothing is wrong."""
    environment = load_environment(data_root=data_root)
    store = open_store(environment, make=False)
    if store.is_local and not Path(store.path("")).is_dir():
        raise InputError(f"nothing at {store.root}", "a data root", "see 'cxr run --help'")
    findings = examine(store, environment)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:12} {finding.what:24} {finding.detail}")
    return all(finding.state != "wrong" for finding in findings)


def write_replica(name: str, folder: Path, studies: int, seed: int, side_px: int) -> None:
    """A replica outside any data root, for a look or for other tools.

    Raises:
        InputError: the source has none, or the folder is not empty.
    """
    write = get_source(name).write_replica
    if write is None:
        raise InputError(
            f"source '{name}', which has no replica", "a gated source", "see 'cxr sources'"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"files in {folder}", "an empty or new folder", "choose another")
    make_folder(folder)
    with explained_place(str(folder)):
        write(folder, ReplicaSpec(studies, seed, side_px))
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    print(f"{files} files in {folder}; every pixel and word in them is synthetic")
