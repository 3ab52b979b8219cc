"""``python -m models.convert run.json``: published checkpoints ↔ Hugging Face folders.

Leaves the folders of that conversion and, of an import, ``result.json``.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import sys
from pathlib import Path

import psutil
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from infra.child import report, run_child, write_json
from infra.errors import InputError, Unavailable
from infra.log import LOGGER
from infra.runs import ConvertRun
from infra.store import AT_FIRST, ON_USE, explained_place
from infra.weights import weights_folder
from models.convert.encoder import PUBLISHED_TEXT_TOWER
from models.convert.release import PUBLISHED_LANGUAGE, export_release, import_release
from models.convert.vision import import_vision


def convert(run: ConvertRun) -> int:
    """Do one conversion, whole or not at all; returns the exit code."""
    set_verbosity_error()
    disable_progress_bar()
    with explained_place(str(run.output), (*ON_USE, *AT_FIRST)):
        if run.output.exists() and (not run.output.is_dir() or any(run.output.iterdir())):
            raise _taken(run.output)
        _forget_killed(run.output)
        partial = run.output.with_name(f".{run.output.name}.{os.getpid()}.partial")
        try:
            partial.mkdir(parents=True)
            facts = _convert(run.model_copy(update={"output": partial}))
            publish(partial, run.output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    report("done", **facts)
    return 0


def publish(partial: Path, output: Path) -> None:
    """Move a finished folder to its place.

    Raises:
        InputError: another conversion was faster.
    """
    try:
        partial.replace(output)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise _taken(output) from error


def _taken(output: Path) -> InputError:
    return InputError(f"files in {output}", "an empty or new folder", "choose another")


def _forget_killed(output: Path) -> None:
    """Remove what conversions to the same place left whose processes are gone."""
    for left in output.parent.glob(f".{glob.escape(output.name)}.*.partial"):
        process = left.name.rsplit(".", 2)[1]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(left)


def _convert(run: ConvertRun) -> dict[str, object]:
    match run.action:
        case "export-llava-rad":
            assert run.dual_encoder is not None
            return export_release(run.source, run.dual_encoder, run.output)
        case "import-llava-rad":
            facts = _import_release(run)
        case "vision":
            facts = import_vision(run)
    write_json(run.output / "result.json", facts)
    return facts


def _import_release(run: ConvertRun) -> dict[str, object]:
    if not run.source.is_dir():
        raise InputError(f"no folder {run.source}", "the downloaded release", "check the path")
    language = _language(run)
    try:
        tokenizer = weights_folder(run.weights_root, run.text_tokenizer or PUBLISHED_TEXT_TOWER)
    except Unavailable as error:
        if run.text_tokenizer:
            raise
        LOGGER.warning("the dual encoder gets no tokenizer: %s", error)
        tokenizer = None
    return import_release(run.source, run.output, language, tokenizer, with_base=run.with_base)


def _language(run: ConvertRun) -> Path:
    name = run.language or PUBLISHED_LANGUAGE
    try:
        return weights_folder(run.weights_root, name)
    except Unavailable as error:
        raise InputError(
            f"no base language model '{name}'", "a folder with the published model", str(error)
        ) from None


if __name__ == "__main__":
    sys.exit(run_child(ConvertRun, convert))
