"""The ``cxr convert`` commands: published checkpoints into Hugging Face's layout, and back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from infra.runs import ConvertRun

CONVERT = typer.Typer(
    help="Convert published checkpoints into Hugging Face's layout, and back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Out = Annotated[Path, typer.Argument(help="An empty or new folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]


@CONVERT.command(help="The official LLaVA-Rad release to a dual encoder and a merged VLM.")
def import_llava_rad(
    release: Annotated[Path, typer.Argument(help="The folder of the six published files.")],
    out: Out,
    language: Annotated[
        str | None,
        typer.Option(help="Its base language model: a path, or a name under CXR_WEIGHTS_ROOT."),
    ] = None,
    text_tokenizer: Annotated[
        str | None, typer.Option(help="Whose tokenizer the dual encoder gets: a path or a name.")
    ] = None,
    with_base: Annotated[
        bool, typer.Option("--with-base", help="Also write the VLM without LoRA.")
    ] = False,
    as_json: Json = False,
) -> None:
    from infra.runs import ConvertRun

    run = ConvertRun(
        action="import-llava-rad",
        source=release.absolute(),
        output=out.absolute(),
        weights_root=_weights_root(),
        language=_path_or_name(language),
        text_tokenizer=_path_or_name(text_tokenizer),
        with_base=with_base,
    )
    _convert(run, as_json=as_json)


@CONVERT.command(help="A VLM with an adapter and its dual encoder to the release's six files.")
def export_llava_rad(
    vlm: Annotated[Path, typer.Argument(help="A finetune stage's folder, or an imported vlm.")],
    dual_encoder: Annotated[
        Path, typer.Argument(help="A pretrain stage's folder, or an import's.")
    ],
    out: Out,
    as_json: Json = False,
) -> None:
    from infra.runs import ConvertRun

    run = ConvertRun(
        action="export-llava-rad",
        source=vlm.absolute(),
        dual_encoder=dual_encoder.absolute(),
        output=out.absolute(),
    )
    _convert(run, as_json=as_json)


@CONVERT.command(help="A vision tower in timm's, open_clip's or DINOv2's layout to one of ours.")
def vision(
    state_dict: Annotated[
        Path, typer.Argument(help="A checkpoint: .pt, .pth, .bin, .safetensors.")
    ],
    out: Out,
    image_px: Annotated[
        int | None, typer.Option(min=1, help="Resize its positions for images of that side.")
    ] = None,
    patch_px: Annotated[
        int | None, typer.Option(min=1, help="Refuse a tower with other patches.")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads, if not of width 64.")
    ] = None,
    activation: Annotated[
        Literal["quick_gelu", "gelu"],
        typer.Option(help="Of a CLIP tower: OpenAI's have quick_gelu, LAION's gelu."),
    ] = "quick_gelu",
    as_json: Json = False,
) -> None:
    from infra.runs import ConvertRun

    run = ConvertRun(
        action="vision",
        source=state_dict.absolute(),
        output=out.absolute(),
        image_px=image_px,
        patch_px=patch_px,
        heads=heads,
        activation=activation,
    )
    _convert(run, as_json=as_json)


def _weights_root() -> Path | None:
    from infra.settings.environment import load_environment

    root = load_environment().weights_root
    return None if root is None else root.absolute()


def _path_or_name(given: str | None) -> str | None:
    """A folder that is there as an absolute path; anything else is a published name."""
    return str(Path(given).absolute()) if given and Path(given).is_dir() else given


def _convert(run: ConvertRun, *, as_json: bool) -> None:
    """Convert in a child process, since this one never imports torch; print what came out."""
    from infra.parent import ignore_event, run_in_child

    with tempfile.TemporaryDirectory(prefix="cxrflow-convert-") as scratch:
        facts = run_in_child("models.convert", run, Path(scratch), ignore_event)
    if as_json:
        print(json.dumps({"output": str(run.output), **facts}, indent=1))
        return
    for name, value in facts.items():
        print(f"{name:16} {value}")
    print(f"written to {run.output}")
