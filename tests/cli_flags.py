"""The flags of every command, frozen."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from flows.cli import APP

RUN = "--data-root --dry-run --json --recipe=llava_rad --replicas --scale=tiny --set* --source*"
FLAGS = {
    "sources": "[name] --json",
    "config": "--json --list --recipe=llava_rad --scale=tiny --set*",
    "doctor": "--data-root --json",
    "convert export-llava-rad": "vlm dual_encoder out --json",
    "convert import-llava-rad": ("release out --json --language --text-tokenizer --with-base"),
    "convert vision": (
        "state_dict out --activation=quick_gelu --heads --image-px --json --patch-px"
    ),
    "replicate": "name folder --seed=0 --side-px=256 --studies=60",
    "compare": "run_a run_b --data-root --json --resamples=1000 --seed=3 --text",
    "compare-recipes": "recipes --data-root --dry-run --json --metric* --on --replicas "
    "--resamples=1000 --scale=tiny --seed=3 --set* --source*",
    "slices": "[run] --by* --data-root --json --metric* --of=reports --resamples=1000 --seed=3",
    "errors": "[run] --data-root --json --text",
    "ablate": "[matrix] --data-root --dry-run --json --list --replicas --scale --set* --source*",
    "submission": "folder --data-root --fill --json --part=test-hidden --recipe=gla_rrg24 "
    "--replicas --scale=tiny --set* --source*",
    "chat": "--ability --data-root --films=films --image* --json --recipe=llava_rad --replicas "
    "--scale=tiny --seed=3 --set* --source*",
    "serve": "model --data-root --device=auto --drawing --host=127.0.0.1 --json --poll=10.0 "
    "--port=8000 --slots=16 --token-file --waiting=64",
    "token": "whose --expires --file --json --role=viewer",
    "leaderboard": "[roots] --all --data-root --json --measure* --older --out",
    "monitor": "model --data-root --json --looks-per-year=366 --recipe=llava_rad --replicas "
    "--scale=tiny --set* --since --source* --until --yearly-false-alarms=0.05",
    "forget": "subject --data-root --dry-run --json --old-answers --retire --source* --study*",
    "gc": "--data-root --dry-run --json --keep-days=30 --keep-runs=1",
    "trace": "study_id --data-root --json --recipe=llava_rad --replicas --scale=tiny --set* "
    "--source* --text",
    "facts": "--data-root --json --kind* --since",
    "metrics": "--data-root --host=127.0.0.1 --once --port=9464",
    "ui": "--behind-tls --data-root --host=127.0.0.1 --json --name* --port=8090 "
    "--serving=http://127.0.0.1:8000 --token-file",
    "cancel": "run --data-root --json --wait=350",
    "pause": "run --json --wait=350",
    "resume": "run --json",
    "backfill": "--again --before --data-root --json --only* --recipe=llava_rad --replicas "
    "--scale=tiny --set* --shard* --since --source* --until=ingest",
    "watch-files": "--data-root --deployment --every=60.0 --json --log --once --patience=3600.0 "
    "--recipe=llava_rad --scale=tiny --set* --settle=120.0 --source*",
    "stack backup": "target --folder=stack --json",
    "stack restore": "whence --folder=stack --json",
    "stack up": "--folder=stack --patience=600 --replicas=True",
    "stack status": "--folder=stack --json",
    "stack stop": "--folder=stack",
    "deploy": "--file --pools=process --replicas",
    "llm status": "--data-root --json",
    "llm audit": "--data-root --json",
    "llm retry": "--data-root --dry-run --reason --source",
    "llm compact": "--data-root --forget-damaged",
    "llm prices": "--data-root --json",
    "ingest": RUN,
    "write-reports": RUN,
    "write-examples": RUN,
    "train": RUN,
    "evaluate": RUN,
    "register": RUN,
    "run": RUN,
    "teacher-quality": RUN,
    "validate-metrics": "place --data-root --json --judge* --out --resamples=1000 --seed=3 "
    "--texts-of",
    "promote": "model --against=champion --alias=candidate --allow-licence* --data-root --dry-run "
    "--gates --json --reason= --use --version",
    "rollback": "model --data-root --json --reason= --to",
    "promotions": "model --data-root --json",
    "watch-registry": "--data-root --deployment --every=15.0 --json --listen --log --once",
    "score": "pairs --block* --cache=True --data-root --json --resamples=500 --section=findings "
    "--seed=3",
    "plant-errors": "--data-root --json --judge* --out --per-cell=100 --seed=0",
}
"""Frozen: scripts and schedules use them. A name here may be added, never changed or removed."""


def all_commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """Commands by their words, those of groups too."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        words = f"{prefix}{name}"
        found |= all_commands(command, f"{words} ") if hasattr(command, "commands") else {}
        found |= {} if hasattr(command, "commands") else {words: command}
    return found


COMMANDS: dict[str, Any] = all_commands(get_command(APP))
