"""The commands that look into what was scored: compare, slices, errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from infra.errors import InputError, one_line
from infra.settings.environment import load_environment
from infra.store import Store
from tasks.compare.queries import READINGS, find_reading, slice_reading
from tasks.compare.scored import Scored, find_scored, newest_scored
from tasks.compare.show import comparison_text, errors_text, slices_text
from tasks.compare.work import compare_scored, list_errors, slice_scored, texts_of
from tasks.context import open_store

SLICED = ("reports", *READINGS)
"""What of a run can be sliced."""
_GROUPS = 20  # our choice: what fits one screen


def _open(data_root: str | None, *names: str | None) -> list[Scored]:
    environment = load_environment(data_root=data_root)
    store: Store = open_store(environment, make=False)
    return [
        newest_scored(store) if name is None else find_scored(store, environment, name)
        for name in names
    ]


def compare(
    names: tuple[str, str],
    data_root: str | None,
    resamples: int,
    seed: int,
    *,
    with_text: bool,
    as_json: bool,
) -> None:
    """Print every metric of B less A, and the examples that changed most."""
    own, other = _open(data_root, *names)
    found = compare_scored(own, other, resamples, seed)
    if as_json:
        print(json.dumps({"a": own.name, "b": other.name, **found.to_dict()}, indent=1))
        return
    texts = None
    if with_text:
        ids = [change.example_id for change in (*found.improved, *found.worsened)]
        before, after = texts_of(own, ids), texts_of(other, ids)
        texts = {name: (*before[name], after[name][1]) for name in ids}
    print(comparison_text((own.name, other.name), found, texts))


def slices(
    name: str | None,
    data_root: str | None,
    of: str,
    by: Sequence[str],
    metrics: Sequence[str],
    resamples: int,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Print the scores of every slice, and the worst; ``of`` says which of a run's scores.

    Raises:
        InputError: no such run, scores, dimension or metric.
    """
    if of not in SLICED:
        raise InputError(f"--of {of}", f"one of {', '.join(SLICED)}", "see cxr slices --help")
    if of in READINGS:
        environment = load_environment(data_root=data_root)
        reading = find_reading(open_store(environment, make=False), of, name)
        title, found = reading.folder, slice_reading(reading, by, metrics, resamples, seed)
    else:
        [scored] = _open(data_root, name)
        chosen = metrics or ("rule14-micro-F1",)
        title, found = scored.name, slice_scored(scored, by, chosen, resamples, seed)
    if as_json:
        print(json.dumps({"run": title, **found.to_dict()}, indent=1))
        return
    print(slices_text(title, found))


def errors(name: str | None, data_root: str | None, *, with_text: bool, as_json: bool) -> None:
    """Print errors by kind, finding and side."""
    [scored] = _open(data_root, name)
    found = list_errors(scored)
    if as_json:
        document = found.to_dict()
        groups = [{**asdict(group), "errors": group.errors} for group in found.groups]
        print(json.dumps({"run": scored.name, **document, "groups": groups}, indent=1))
        return
    texts = None
    if with_text:
        ids = [group.examples[0] for group in found.groups[:_GROUPS]]
        texts = {
            key: f"  reference   {one_line(true)}\n  prediction  {one_line(told)}"
            for key, (true, told) in texts_of(scored, ids).items()
        }
    print(errors_text(scored.name, found, _GROUPS, texts))
