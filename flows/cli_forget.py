"""What ``cxr forget`` and ``cxr gc`` do and print."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import InputError
from infra.settings.environment import Environment, load_environment, source_roots
from infra.store import Store
from tasks.context import open_store

if TYPE_CHECKING:
    from tasks.forget.work import ForgetOrder, Forgotten
    from tasks.retention.collect import Collection

LEFT = 1
"""Exit code: something of the subject was found after all."""
UNSEARCHED = 3
"""Exit code: nothing was found, and not everything could be looked into."""
_MOST_SHOWN = 20
"""Places of raw files that are printed one by one (our choice); ``--json`` has them all."""


def _opened(data_root: str | None) -> tuple[Environment, Store]:
    """A data root that is there: neither command makes one."""
    environment = load_environment(data_root=data_root)
    store = open_store(environment, make=False)
    if not environment.state.is_dir() or (store.is_local and not Path(store.path("")).is_dir()):
        raise InputError(f"nothing at {store.root}", "a data root that was used", "see --data-root")
    return environment, store


def forget_subject(
    asked: ForgetOrder, raw: list[str], data_root: str | None, *, as_json: bool
) -> int:
    """Forget and print what was done.

    Returns:
        the exit code: 0 where nothing is left, ``LEFT`` or ``UNSEARCHED``.

    Args:
        raw: ``name=path`` of raw data, beside the ``CXR_SOURCE_`` variables.
    """
    from sources.catalog import get_source
    from tasks.forget.work import forget

    environment, store = _opened(data_root)
    roots = source_roots(raw)
    for name in roots:
        get_source(name)
    done = forget(asked, environment, store, roots)
    print(json.dumps(asdict(done), indent=1) if as_json else forgotten_text(done, asked.retire))
    if done.proof is None or done.proof.is_whole:
        return 0
    if done.proof.left:
        print(
            f"error: found {len(done.proof.left)} files that still tell of the subject, the first "
            f"{done.proof.left[0]}; expected none; run again, then look at them",
            file=sys.stderr,
        )
        return LEFT
    print(f"error: not searched: {'; '.join(done.proof.unsearched)}", file=sys.stderr)
    return UNSEARCHED


def forgotten_text(done: Forgotten, retire: bool) -> str:
    """What was removed, who learned from the subject, what is not ours, and the proof."""
    dry = done.proof is None
    lines = [
        f"{done.studies} studies and {done.images} images "
        f"{'would be forgotten; nothing was changed' if dry else 'are forgotten'}"
    ]
    lines += [f"  {number:8,} {name}" for name, number in done.removed.items()]
    lines += _learned_lines(done, retire)
    if done.raw:
        lines.append("these published files still hold the subject, and are not ours to delete:")
        lines += [f"  {place}" for place in done.raw[:_MOST_SHOWN]]
        if len(done.raw) > _MOST_SHOWN:
            lines.append(f"  and {len(done.raw) - _MOST_SHOWN} more: see --json")
        lines.append("  and the publisher's tables beside them")
    lines += [
        f"batch {name} at the language model's server holds such requests" for name in done.sent
    ]
    if done.proof is not None:
        lines += [f"not searched: {place}" for place in done.proof.unsearched]
        lines.append(
            f"searched {done.proof.files:,} files of {done.proof.bytes / 1e6:,.1f} MB: "
            f"{len(done.proof.left) or 'none'} of them tell of the subject"
        )
        if done.shared:
            told = ", ".join(f"{number:,} {kind}" for kind, number in done.shared.items())
            lines.append(f"  {told} of the subject's are others' too, and stay with those")
        if done.short_ids:
            lines.append(f"  {done.short_ids} short ids were looked for in tables alone")
        lines += [f"  left: {place}" for place in done.proof.left[:_MOST_SHOWN]]
    return "\n".join(lines)


def _learned_lines(done: Forgotten, retire: bool) -> list[str]:
    if not done.stages:
        return ["no trained stage learned from the subject"]
    lines = ["these cannot unlearn the subject:"]
    lines += [f"  {folder}: {how}" for folder, how in done.stages.items()]
    lines += [
        f"  models:/{label}{f' (@{chr(44).join(aliases)})' if aliases else ''}"
        for label, aliases in done.versions.items()
    ]
    lines.append(
        "they were retired: the next run trains anew"
        if retire and done.proof is not None
        else "train anew with --retire, or decide to keep them; docs/retention.md"
    )
    return lines


def collect_garbage(
    data_root: str | None, keep_days: float, keep_runs: int, *, dry_run: bool, as_json: bool
) -> None:
    """Remove what nothing needs, or say what would go, with its bytes."""
    from tasks.retention.collect import collect

    environment, store = _opened(data_root)
    done = collect(store, environment, keep_days=keep_days, keep_runs=keep_runs, dry_run=dry_run)
    if as_json:
        print(json.dumps({**asdict(done), "bytes": done.bytes, "dry_run": dry_run}, indent=1))
    else:
        print(collected_text(done, dry_run))


def collected_text(done: Collection, dry_run: bool) -> str:
    """Each thing that went with its size, then what stays and why."""
    lines = [
        f"{each.bytes / 1e6:10,.1f} MB  {each.folder}{' in part' if each.part else ''}  {each.why}"
        for each in done.gone
    ]
    lines += [f"{number:5} artifacts stay for {why}" for why, number in done.kept.items()]
    verb = "would be removed; nothing was changed" if dry_run else "removed"
    lines.append(f"{len(done.gone)} folders of {done.bytes / 1e6:,.1f} MB {verb}")
    return "\n".join(lines)
