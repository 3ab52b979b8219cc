"""Releases and models of odd values: refused in one line, never converted into wrong numbers."""

from __future__ import annotations

import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from release_world import RANK, write_language, write_release
from safetensors.torch import load_file, save_file

from infra.errors import InputError
from infra.runs import ConvertRun, write_run
from infra.store import AT_FIRST, explained_place
from models.convert.__main__ import convert, publish
from models.convert.release import export_release, import_release

CHECKPOINT = "biomedclipcxr_518_checkpoint.pt"
ADAPTER = "vlm/adapter/adapter_model.safetensors"
Harm = tuple[Callable[[Path], object], str]


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_language(tmp_path_factory.mktemp("language") / "llama")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, language: Path) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    import_release(write_release(folder / "release"), folder / "out", language)
    return folder / "out"


def settle(name: str, **values: object) -> Callable[[Path], object]:
    """Change a JSON file's values."""

    def change(folder: Path) -> None:
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(told | values))

    return change


def retold(key: str, value: object) -> Callable[[Path], object]:
    """Another value in the table about texts."""

    def change(folder: Path) -> None:
        place = folder / "biomedclipcxr_518.json"
        told = json.loads(place.read_text())
        told["text_cfg"][key] = value
        place.write_text(json.dumps(told))

    return change


def cast(name: str, kind: torch.dtype) -> Callable[[Path], object]:
    """Another type for the first tensor of a checkpoint."""

    def change(folder: Path) -> None:
        saved = torch.load(folder / name, weights_only=True)
        state = saved.get("state_dict", saved)
        first = next(iter(state))
        state[first] = state[first].to(kind)
        torch.save(saved, folder / name)

    return change


def tensors(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], object]:
    """Change the first tensor of a safetensors file."""

    def harm(folder: Path) -> None:
        state = load_file(folder / name)
        first = min(state)
        state[first] = change(state[first])
        save_file(state, folder / name, metadata={"format": "pt"})

    return harm


OWN = "use the release's own"
RELEASES: dict[str, Harm] = {
    "part of a rank": (
        settle("adapter_config.json", r=4.5),
        "found r 4.5 in adapter_config.json; expected a valid integer, got a number with a "
        f"fractional part; {OWN}",
    ),
    "a yes for a rank": (
        settle("adapter_config.json", r=True),
        "found no r, lora_alpha, lora_dropout in adapter_config.json; expected three numbers; "
        + OWN,
    ),
    "no rank": (
        settle("adapter_config.json", r=0),
        "found r 0 in adapter_config.json; expected a value greater than or equal to 1; " + OWN,
    ),
    "an endless alpha": (
        settle("adapter_config.json", lora_alpha=math.inf),
        "found lora_alpha inf in adapter_config.json; expected a finite number; " + OWN,
    ),
    "all is dropped": (
        settle("adapter_config.json", lora_dropout=2),
        "found lora_dropout 2 in adapter_config.json; expected a value less than 1; " + OWN,
    ),
    "a rank beyond all numbers": (
        settle("adapter_config.json", r=10**30),
        f"found LoRA of rank {10**30}; expected at most 48, its layers' width; run again the stage "
        "that makes it, or get it again from its publisher",
    ),
    "layers that are no names": (
        settle("adapter_config.json", target_modules=[1, "a"]),
        "found target_modules [1, 'a'] in adapter_config.json; expected ['down_proj', "
        "'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj']; " + OWN,
    ),
    "another alpha for some layers": (
        settle("adapter_config.json", alpha_pattern={"q_proj": 99}),
        "found alpha_pattern {'q_proj': 99} in adapter_config.json; expected None; " + OWN,
    ),
    "some blocks alone": (
        settle("adapter_config.json", layers_to_transform=[0]),
        "found layers_to_transform [0] in adapter_config.json; expected None; " + OWN,
    ),
    "brackets without end": (
        lambda folder: (folder / "config.json").write_text("[" * 100_000),
        "found no readable JSON in RELEASE/config.json; expected a JSON object; check that the "
        "folder is whole",
    ),
    "a list for a tower": (
        settle("biomedclipcxr_518.json", vision_cfg=[1]),
        "found vision_cfg [1] in biomedclipcxr_518.json; expected an object; use its publisher's "
        "JSON",
    ),
    "a text longer than the tower": (
        retold("context_length", 10**9),
        "found text_cfg.context_length 1000000000 in biomedclipcxr_518.json; expected a number of "
        "tokens up to the text tower's 40 positions; use the JSON of this checkpoint",
    ),
    "a text of no length": (
        retold("context_length", 0),
        "found text_cfg.context_length 0 in biomedclipcxr_518.json; expected a number of tokens up "
        "to the text tower's 40 positions; use the JSON of this checkpoint",
    ),
    "whole numbers for weights": (
        cast("adapter_model.bin", torch.int64),
        "found 'base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight' in "
        "adapter_model.bin as int64; expected weights; get the file again",
    ),
    "a type without scales": (
        cast(CHECKPOINT, torch.float8_e4m3fn),
        f"found 'module.visual.trunk.cls_token' of RELEASE/{CHECKPOINT} as float8_e4m3fn; expected "
        "float32, float16 or bfloat16; save its weights in one of these",
    ),
}


@pytest.mark.parametrize("harm", RELEASES)
def test_an_odd_release_is_one_line(tmp_path: Path, language: Path, harm: str) -> None:
    release = write_release(tmp_path / "release")
    hurt, message = RELEASES[harm]
    hurt(release)
    with pytest.raises(InputError) as caught:
        import_release(release, tmp_path / "out", language)
    assert str(caught.value).replace(str(release), "RELEASE") == message


def test_a_flipped_bit_is_no_weight(tmp_path: Path, language: Path) -> None:
    """PyTorch reads a part whose checksum is another."""
    release = write_release(tmp_path / "release")
    place = release / "adapter_model.bin"
    with zipfile.ZipFile(place) as parts:
        largest = max(parts.infolist(), key=lambda part: part.file_size)
    whole = bytearray(place.read_bytes())
    at = whole.index(b"data/", largest.header_offset) + 200
    whole[at] ^= 1
    place.write_bytes(whole)
    with pytest.raises(InputError, match=r"adapter_model.bin: the checksum of '.*' is another"):
        import_release(release, tmp_path / "out", language)


def test_a_language_model_with_just_room_for_the_image_is_taken(
    tmp_path: Path, language: Path
) -> None:
    """Text is cut to what its positions leave; without room for any it is refused."""
    release = write_release(tmp_path / "release")
    small = Path(shutil.copytree(language, tmp_path / "small"))
    settle("config.json", max_position_embeddings=47)(small)
    assert import_release(release, tmp_path / "out", small)["image_tokens"] == 16
    settle("config.json", max_position_embeddings=40)(small)
    with pytest.raises(InputError, match=r"shapes no recipe has \(context_tokens: "):
        import_release(release, tmp_path / "none", small)


def nan_first(tensor: torch.Tensor) -> torch.Tensor:
    tensor.view(-1)[0] = math.nan
    return tensor


def without_record(*then: Callable[[Path], object]) -> Callable[[Path], object]:
    def harm(folder: Path) -> None:
        (folder / "vlm" / "release.json").unlink()
        for each in then:
            each(folder)

    return harm


EXPORTS: dict[str, Harm] = {
    "no number in the adapter": (tensors(ADAPTER, nan_first), "that are no finite numbers"),
    "another shape in the adapter": (
        tensors(ADAPTER, lambda _: torch.ones(3, 3)),
        r"found shape \(3, 3\) of '.*' in .*; expected \(4, 80\)",
    ),
    "whole numbers in the adapter": (
        tensors(ADAPTER, lambda tensor: tensor.to(torch.int32)),
        "as int32; expected floating point",
    ),
    "an adapter cut short": (
        lambda folder: (folder / ADAPTER).write_bytes((folder / ADAPTER).read_bytes()[:-9]),
        "which cannot be read",
    ),
    "an adapter without its configuration": (
        lambda folder: (folder / "vlm/adapter/adapter_config.json").unlink(),
        r"found no readable JSON in .*adapter_config\.json",
    ),
    "another rank": (
        without_record(settle("vlm/adapter/adapter_config.json", r=RANK + 1)),
        rf"found shape \({RANK}, 80\) of '.*' in .*; expected \({RANK + 1}, 80\)",
    ),
    "a record of another adapter": (
        settle("vlm/adapter/adapter_config.json", lora_alpha=999),
        r"found rank 4 and alpha \d+ in .*release\.json; expected those of the adapter",
    ),
    "a record that holds no adapter": (
        settle("vlm/release.json", adapter_config=[1]),
        r"found peft_type None in .*release\.json",
    ),
    "no record of a tower": (
        lambda folder: (folder / "dual_encoder/release.json").write_text("{}"),
        r"found layer_scale None in .*release\.json; expected a bool",
    ),
    "a record that denies LayerScale": (
        settle("dual_encoder/release.json", layer_scale=False),
        "found layer_scale false in .*; expected true, as its tower has LayerScale",
    ),
    "a tower that lacks a tensor": (
        lambda folder: save_file(
            {
                name: value
                for name, value in load_file(folder / "dual_encoder/model.safetensors").items()
                if name != "logit_scale"
            },
            folder / "dual_encoder/model.safetensors",
            metadata={"format": "pt"},
        ),
        "found no tensor 'logit_scale' in",
    ),
}


@pytest.mark.parametrize("harm", EXPORTS)
def test_an_odd_model_is_not_exported(tmp_path: Path, imported: Path, harm: str) -> None:
    folder = Path(shutil.copytree(imported, tmp_path / "model"))
    hurt, words = EXPORTS[harm]
    hurt(folder)
    with pytest.raises(InputError, match=words) as caught:
        export_release(folder / "vlm", folder / "dual_encoder", tmp_path / "out")
    assert "\n" not in str(caught.value)


# Where the result goes.


def order(source: Path, output: Path, language: Path) -> ConvertRun:
    return ConvertRun(
        action="import-llava-rad",
        source=source,
        output=output,
        weights_root=None,
        language=str(language),
    )


def test_leftovers_of_killed_conversions_go_and_those_of_living_ones_stay(
    tmp_path: Path, language: Path
) -> None:
    release = write_release(tmp_path / "release")
    dead, living = (tmp_path / f".out.{pid}.partial" for pid in (2**22 + 1, os.getppid()))
    for folder in (dead, living):
        (folder / "vlm").mkdir(parents=True)
    assert convert(order(release, tmp_path / "out", language)) == 0
    assert (tmp_path / "out" / "result.json").is_file()
    assert not dead.exists()
    assert living.is_dir()
    assert not (tmp_path / f".out.{os.getpid()}.partial").exists()


def test_of_two_conversions_to_one_place_the_slower_is_refused(tmp_path: Path) -> None:
    for name in ("out", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(InputError, match=r"found files in .*out; expected an empty or new folder"):
        publish(tmp_path / "mine", tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "out"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file/out", "found a file in the way at"),
        ("x" * 300, "found too long a name at"),
        ("file", "found files in"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, language: Path, name: str, words: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=words):
        convert(order(tmp_path / "release", tmp_path / name, language))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_name_that_is_no_text_is_one_line(tmp_path: Path, language: Path) -> None:
    run = order(tmp_path / "release", tmp_path / "out\udcff", language)
    with pytest.raises(InputError, match="found a path whose bytes are not UTF-8; expected"):
        write_run(run, tmp_path / "run.json")
    assert not list(tmp_path.iterdir())


def test_first_faults_are_those_of_a_place_from_the_start() -> None:
    for number in AT_FIRST:
        with pytest.raises(InputError), explained_place("/out", AT_FIRST):
            raise OSError(number, os.strerror(number), "/out")
