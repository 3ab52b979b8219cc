"""The ``cxr`` command.

Each command imports what it runs when it runs: with everything imported here, even ``--help`` took
more than a second.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flows.cli_convert import CONVERT
from flows.cli_llm import LLM
from flows.cli_measures import plant_errors, score, validate_metrics
from flows.cli_one_set import compare_recipes
from flows.cli_operate import add_operations
from flows.cli_options import (
    DataRoot,
    DryRun,
    Json,
    Recipe,
    Replicas,
    Resamples,
    Scale,
    ScoredRun,
    Seed,
    Sets,
    Sources,
    order_of,
)
from flows.cli_serve import serve, token
from flows.cli_usage import invoke
from flows.goals import COMMANDS, GOALS, Goal
from infra.errors import CxrError
from infra.log import set_up_logging

APP = typer.Typer(
    name="cxr",
    help="Chest X-ray data and training workflow. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _run_command(goal: Goal, text: str) -> None:
    """Add the command that runs the pipeline up to a goal."""

    def command(
        recipe: Recipe = "llava_rad",
        scale: Scale = "tiny",
        sets: Sets = None,
        source: Sources = None,
        data_root: DataRoot = None,
        replicas: Replicas = False,
        dry_run: DryRun = False,
        as_json: Json = False,
    ) -> None:
        from flows import cli_run

        order = order_of(recipe, scale, sets, source, data_root, replicas)
        if dry_run:
            cli_run.show_plan(order, goal, as_json=as_json)
        else:
            cli_run.run(order, goal, as_json=as_json)

    APP.command(COMMANDS[goal], help=text)(command)


@APP.command(help="List the sources, or show one: card, layout, and an example row.")
def sources(
    name: Annotated[str | None, typer.Argument(help="A source's name.")] = None,
    as_json: Json = False,
) -> None:
    from flows import cli_look

    cli_look.show_sources(name, as_json=as_json)


@APP.command(help="Show the settings a run would use, and the environment without its secrets.")
def config(
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    as_json: Json = False,
    list_presets: Annotated[bool, typer.Option("--list", help="List recipes and scales.")] = False,
) -> None:
    from flows import cli_look

    if list_presets:
        cli_look.show_presets(as_json=as_json)
    else:
        cli_look.show_config(recipe, scale, tuple(sets or ()), as_json=as_json)


@APP.command(help="Check this machine and the data root; remove what killed runs left behind.")
def doctor(data_root: DataRoot = None, as_json: Json = False) -> None:
    from flows import cli_look

    if not cli_look.show_doctor(data_root, as_json=as_json):
        raise typer.Exit(1)


@APP.command(help="Write the synthetic stand-in of a source into a folder of your own.")
def replicate(
    name: Annotated[str, typer.Argument(help="A source's name.")],
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    studies: Annotated[int, typer.Option(min=1, help="How many studies.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal bytes.")] = 0,
    side_px: Annotated[int, typer.Option(min=64, help="Short side of the images in px.")] = 256,
) -> None:
    from flows import cli_look

    cli_look.write_replica(name, folder, studies, seed, side_px)


@APP.command(help="Follow one study through every artifact of a run.")
def trace(
    study_id: Annotated[str, typer.Argument(help="A study's id as its publisher writes it.")],
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    text: Annotated[bool, typer.Option("--text", help="Show report text too.")] = False,
    as_json: Json = False,
) -> None:
    from flows import cli_run

    order = order_of(recipe, scale, sets, source, data_root, replicas)
    cli_run.show_trace(order, study_id, with_text=text, as_json=as_json)


@APP.command(help="Talk with a trained model about a study's films, or have it draw one.")
def chat(
    recipe: Recipe = "llava_rad",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    ability: Annotated[
        str | None, typer.Option(help="Whose model answers [the recipe's first].")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="A film to begin with (DICOM, PNG, JPEG); repeatable."),
    ] = None,
    films: Annotated[Path, typer.Option(help="Folder that gets what is drawn.")] = Path("films"),
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds draw equal films.")
    ] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON event a line instead of text.")
    ] = False,
) -> None:
    from flows import cli_chat

    order = order_of(recipe, scale, sets, source, data_root, replicas)
    asked = cli_chat.ChatOrder(ability, tuple(image or ()), films, seed)
    if not cli_chat.chat(order, asked, as_json=as_json):
        raise typer.Exit(2)


APP.command(help="Serve a registered model: OpenAI's chat, findings of uploads, films.")(serve)
APP.command(help="Make a token for the server and the pages, which is printed once.")(token)


@APP.command(help="Answer a test set of RRG24 in the leaderboard's files: a line for each row.")
def submission(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    part: Annotated[str, typer.Option(help="test-hidden or test-public.")] = "test-hidden",
    fill: Annotated[
        str | None, typer.Option(help="Text of rows without an answer [an error].")
    ] = None,
    recipe: Recipe = "gla_rrg24",
    scale: Scale = "tiny",
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    as_json: Json = False,
) -> None:
    from flows import cli_submit

    order = order_of(recipe, scale, sets, source, data_root, replicas)
    cli_submit.submit(order, part, folder, fill, as_json=as_json)


@APP.command(help="Run an ablation matrix: build every variant, compare it with the baseline.")
def ablate(
    matrix: Annotated[
        str | None, typer.Argument(help="A TOML file, or a matrix of 'cxr ablate --list'.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="Another scale than the matrix's own.")] = None,
    sets: Sets = None,
    source: Sources = None,
    data_root: DataRoot = None,
    replicas: Replicas = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the shipped matrices.")] = False,
) -> None:
    from flows import cli_ablate
    from infra.settings.matrix import load_matrix

    if list_all or matrix is None:
        cli_ablate.list_matrices(as_json=as_json)
        return
    chosen = load_matrix(matrix)
    if scale is not None:
        chosen = chosen.model_copy(update={"scale": scale})
    order = order_of(chosen.recipe, chosen.scale, sets, source, data_root, replicas)
    if dry_run:
        cli_ablate.plan_ablation(chosen, order, as_json=as_json)
    else:
        cli_ablate.run_ablation(chosen, order, as_json=as_json)


@APP.command(
    help="Compare two scored runs, B less A: every metric in pairs, and what changed most."
)
def compare(
    run_a: Annotated[str, typer.Argument(help="Fingerprint, folder under scores/, or models:/…")],
    run_b: Annotated[str, typer.Argument(help="The other, named likewise.")],
    resamples: Resamples = 1000,
    seed: Seed = 3,
    data_root: DataRoot = None,
    text: Annotated[bool, typer.Option("--text", help="Show report text too.")] = False,
    as_json: Json = False,
) -> None:
    from flows import cli_compare

    cli_compare.compare((run_a, run_b), data_root, resamples, seed, with_text=text, as_json=as_json)


APP.command(help="Compare trained recipes on one test set, each asked in its own way.")(
    compare_recipes
)


@APP.command(
    help="Recipes, their ablations and published figures side by side, ranked where that may be."
)
def leaderboard(
    roots: Annotated[
        list[str] | None, typer.Argument(help="Data roots; else CXR_DATA_ROOT, else data.")
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="With signatures and reasons; repeatable.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every measure, with signatures and reasons.")
    ] = False,
    older: Annotated[bool, typer.Option("--older", help="Also runs that others replaced.")] = False,
    data_root: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for leaderboard.html and leaderboard.json.")
    ] = None,
    as_json: Json = False,
) -> None:
    from flows import cli_leaderboard

    cli_leaderboard.show_leaderboard(
        (*(roots or ()), *([data_root] if data_root else ())),
        tuple(measure or ()),
        out,
        every=every,
        older=older,
        as_json=as_json,
    )


@APP.command(help="Scores by source, view, sex, age, manufacturer and site; names the worst slice.")
def slices(
    run: ScoredRun = None,
    of: Annotated[
        str, typer.Option(help="reports; or retrieval, grounding: RUN is then a folder of theirs.")
    ] = "reports",
    by: Annotated[list[str] | None, typer.Option(help="Dimension; repeatable [all].")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Repeatable [rule14-micro-F1].")] = None,
    resamples: Resamples = 1000,
    seed: Seed = 3,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    from flows import cli_compare

    chosen = (tuple(by or ()), tuple(metric or ()))
    cli_compare.slices(run, data_root, of, *chosen, resamples, seed, as_json=as_json)


@APP.command(help="Errors of a scored run by kind, finding and side; hallucinated and omitted.")
def errors(
    run: ScoredRun = None,
    data_root: DataRoot = None,
    text: Annotated[bool, typer.Option("--text", help="Show report text too.")] = False,
    as_json: Json = False,
) -> None:
    from flows import cli_compare

    cli_compare.errors(run, data_root, with_text=text, as_json=as_json)


add_operations(APP)
APP.add_typer(LLM, name="llm")
APP.add_typer(CONVERT, name="convert")


APP.command(help="Rate metrics and judges against radiologists' error counts.")(validate_metrics)
APP.command(
    help="Plant errors of every kind and tier in replica reports; see if judges find them."
)(plant_errors)
APP.command(help="Score a file of pairs: columns reference, prediction; perhaps subject, study.")(
    score
)


for _goal, _text in GOALS.items():
    _run_command(_goal, _text)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error raised on purpose is one line on stderr.

    Exit codes: 0 done, 2 bad input, 1 anything else; 3 of ``forget`` and ``monitor``, as
    docs/retention.md and docs/drift.md tell.
    """
    set_up_logging()
    sys.exit(_guarded(lambda: invoke(APP, arguments)))


def _guarded(command: Callable[[], int]) -> int:
    try:
        return command()
    except CxrError as error:
        print(f"error: {error}", file=sys.stderr)
        _let_go(error)
        return error.exit_code


def _let_go(error: BaseException | None) -> None:
    """Clear what an error's frames still hold; DuckDB would print pages about it on exit."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
