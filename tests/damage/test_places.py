"""Wrong settings and wrong places: one line before anything is read or written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.settings import PRESETS
from tasks.context import Order, open_context
from tests.damage.kinds import Kind
from tests.damage.test_images import SMALL
from tests.damage.worlds import Trees
from tests.small_world import HOUSE, cxr, cxr_environment

MEND = "mend that and run again: finished pieces are kept"
TABLES = (
    "expected one of recipe, scale, sources, images, screen, reports, dialogues, sets, models, "
    "stages, abilities, score, readings, retrieval, ground, coherence, chat, replicas, examples, "
    "generate, registry; see 'cxr config'"
)
RECIPES = ", ".join(sorted(path.stem.replace(".", "/") for path in PRESETS.glob("*.toml")))
IMAGES = (
    "expected one of short_side_px, resample, encoding, jpeg_quality, smallest_side_px, "
    "largest_megapixels, largest_aspect_ratio; see 'cxr config'"
)
SETTINGS = {
    "sources.pieces": "found override 'sources.pieces'; expected key.path=value; quote it for the "
    "shell",
    "=3": "found override '=3'; expected key.path=value; quote it for the shell",
    "nope.x=1": f"found {{'x': 1}} at 'nope' of llava_rad.tiny.toml; {TABLES}",
    "images.nope=1": f"found 1 at 'images.nope' of llava_rad.tiny.toml; {IMAGES}",
    "sources.pieces=many": "found 'many' at 'sources.pieces' of llava_rad.tiny.toml; expected "
    "a valid integer, unable to parse string as an integer; see 'cxr config'",
    "sources.pieces=0": "found 0 at 'sources.pieces' of llava_rad.tiny.toml; expected "
    "a value greater than or equal to 1; see 'cxr config'",
    "images.short_side_px.x=3": "found override key 'images.short_side_px.x'; expected a table or "
    "stage 'short_side_px'; see 'cxr config'",
    "stages.nope.steps=1": "found override key 'stages.nope.steps'; expected a table or stage "
    "'nope'; see 'cxr config'",
}
KNOWN = (
    "one of brax, candid_ptx, chexpert, manifest, medical_diff_vqa, mimic_cxr, mimic_cxr_vqa, "
    "nih_cxr14, object_cxr, openi, padchest, rrg24, vindr_cxr, vqa_rad; see 'cxr sources'"
)
ROOT_OF = "the root of CheXpert v1.0 and CheXpert Plus; set CXR_SOURCE_CHEXPERT or --source "
OPTIONS = {
    "foo=/tmp": f"found source 'foo'; expected {KNOWN}",
    "chexpert": "found --source chexpert; expected --source name=path; name a source of 'cxr "
    "sources'",
    "chexpert=": "found --source chexpert=; expected --source name=path; name a source of 'cxr "
    "sources'",
    "=/tmp": "found --source =/tmp; expected --source name=path; name a source of 'cxr sources'",
    "chexpert=/no/such/folder": f"found no folder at /no/such/folder; expected {ROOT_OF}"
    "chexpert=PATH",
    "chexpert=/etc/hostname": f"found no folder at /etc/hostname; expected {ROOT_OF}chexpert=PATH",
}
INTEGER = "expected a valid integer, unable to parse string as an integer"
VARIABLES = {
    "CXR_WORKERS=many": f"found a bad value in CXR_WORKERS; {INTEGER}; correct or unset "
    "CXR_WORKERS",
    "CXR_WORKERS=0": "found a bad value in CXR_WORKERS; expected a value greater than or "
    "equal to 1; correct or unset CXR_WORKERS",
    "CXR_RUNNER=magic": "found a bad value in CXR_RUNNER; expected 'threads', 'processes', 'dask' "
    "or 'ray'; correct or unset CXR_RUNNER",
    "CXR_RUNNER_ADDRESS=tcp://host:8786": "found CXR_RUNNER_ADDRESS beside CXR_RUNNER=processes; "
    "expected it beside dask or ray alone; unset it, or set CXR_RUNNER",
    "CXR_LLM_KIND=magic": "found a bad value in CXR_LLM_KIND; expected 'openai' or "
    "'azure'; correct or unset CXR_LLM_KIND",
    "CXR_DATAROOT=/elsewhere": "found the variable CXR_DATAROOT; expected CXR_DATA_ROOT; rename or "
    "unset CXR_DATAROOT",
    "CXR_SOURCE_CHEXPRET=/tmp": f"found source 'chexpret'; expected {KNOWN}",
}
APART = "expected artifacts and state outside of what is read; give another --data-root"
KINDS = (
    *(Kind(f"--set {name}", "settings", line) for name, line in SETTINGS.items()),
    *(Kind(f"--source {name}", "settings", line) for name, line in OPTIONS.items()),
    *(Kind(name, "environment", line) for name, line in VARIABLES.items()),
    Kind("an unknown recipe or scale", "settings",
         f"found recipe 'x' at scale 'tiny'; expected one of {RECIPES}; see 'cxr config --help'"),
    Kind("no source at all", "settings",
         "found no raw data for any source of recipe 'llava_rad'; expected at least one of NAMES; "
         "give --source mimic_cxr=PATH, set CXR_SOURCE_MIMIC_CXR, or use --replicas"),
    Kind("two sources with the same path", "settings",
         "found nothing that matches manifest.csv under ROOT; expected the files of your own data "
         "(manifest.csv); check that the path is its root; see 'cxr sources manifest'"),
    Kind("a data root that is a file", "places",
         f"found a file in the way at PATH; expected a folder; {MEND}"),
    Kind("a data root without a name", "places",
         "found a bad value in CXR_DATA_ROOT; expected string should have at least 1 character; "
         "correct or unset CXR_DATA_ROOT"),
    Kind("a data root that nothing can open", "places",
         "found data root nope://x, which nothing here can open; expected a folder, or a URL such "
         "as s3://bucket/prefix; correct it, or install what it needs (Protocol not known: nope)"),
    Kind("a data root inside raw data", "places", f"found PATH inside the raw data of NAME at "
         f"ROOT; {APART}"),
    Kind("raw data inside the data root", "places", "nothing: it is read where it lies"),
    Kind("a state folder that is a file", "places",
         f"found a file in the way at PATH; expected a folder; {MEND}"),
    Kind("a data root that may not be written", "places",
         f"found no permission at PATH; expected a place that this user may use; {MEND}"),
    Kind("a data root on a read-only disk", "places",
         f"found a read-only file system at PATH; expected a folder that can be written; {MEND}"),
    Kind("a full disk", "places",
         f"found no space left at PATH; expected room for what is written; {MEND}"),
)  # fmt: skip


def refusal(order: Order) -> str:
    with pytest.raises(InputError) as caught:
        open_context(order)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def order(trees: Trees, tmp_path: Path) -> Callable[..., Order]:
    """A sound order with some of its fields changed."""

    def make(**changes: object) -> Order:
        whole = {
            "data_root": str(tmp_path / "data"),
            "sources": (f"chexpert={trees.sound('chexpert')}",),
            "overrides": SMALL,
        }
        return Order.model_validate(whole | changes)

    return make


@pytest.mark.parametrize("override", SETTINGS)
def test_a_wrong_setting(override: str, order: Callable[..., Order]) -> None:
    assert refusal(order(overrides=(override,))) == SETTINGS[override]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_wrong_source(option: str, order: Callable[..., Order]) -> None:
    assert refusal(order(sources=(option,))) == OPTIONS[option]


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_wrong_variable(
    variable: str, order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = variable.partition("=")
    monkeypatch.setenv(name, value)
    assert refusal(order()) == VARIABLES[variable]


@pytest.mark.parametrize("recipe", ["x", "../../etc/passwd", "a" * 5000, "llava_rad.tiny"])
def test_an_unknown_recipe(recipe: str, order: Callable[..., Order]) -> None:
    assert refusal(order(recipe=recipe)) == (
        f"found recipe '{recipe}' at scale 'tiny'; expected one of {RECIPES}; see 'cxr config "
        "--help'"
    )


def test_no_source_at_all(order: Callable[..., Order]) -> None:
    line = refusal(order(sources=()))
    assert line.startswith("found no raw data for any source of recipe 'llava_rad'; expected at ")
    assert line.endswith(
        "; give --source mimic_cxr=PATH, set CXR_SOURCE_MIMIC_CXR, or use --replicas"
    )


def test_two_sources_with_the_same_path(order: Callable[..., Order], trees: Trees) -> None:
    root = trees.sound("chexpert")
    assert refusal(order(sources=(f"chexpert={root}", f"manifest={root}"))) == (
        f"found nothing that matches manifest.csv under {root}; expected the files of your own "
        "data (manifest.csv); check that the path is its root; see 'cxr sources manifest'"
    )


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_data_root_that_is_a_file(
    below: str, order: Callable[..., Order], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    place = f"{tmp_path / 'file'}{below}"
    assert refusal(order(data_root=place)) == (
        f"found a file in the way at {place}; expected a folder; {MEND}"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_data_roots_that_nothing_can_open(
    order: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(order(data_root="")) == (
        "found a bad value in CXR_DATA_ROOT; expected string should have at least 1 character; "
        "correct or unset CXR_DATA_ROOT"
    )
    monkeypatch.setenv("CXR_STATE_DIR", str(tmp_path / "state"))
    assert refusal(order(data_root="nope://x")) == (
        "found data root nope://x, which nothing here can open; expected a folder, or a URL such "
        "as s3://bucket/prefix; correct it, or install what it needs (Protocol not known: nope)"
    )


def test_a_state_folder_that_is_a_file(
    order: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CXR_STATE_DIR", str(tmp_path / "file"))
    assert refusal(order()) == (
        f"found a file in the way at {tmp_path / 'file'}; expected a folder; {MEND}"
    )


@pytest.mark.parametrize("before_it", ["", "file://"])
@pytest.mark.parametrize("below", ["", "/data", "/deep/data"])
def test_a_data_root_inside_raw_data(
    before_it: str,
    below: str,
    order: Callable[..., Order],
    trees: Trees,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = trees.fresh("chexpert", tmp_path)
    before = sorted(root.rglob("*"))
    place = f"{root}{below}"
    monkeypatch.setenv("CXR_STATE_DIR", str(tmp_path / "state"))
    assert refusal(order(data_root=before_it + place, sources=(f"chexpert={root}",))) == (
        f"found {place} inside the raw data of chexpert at {root}; {APART}"
    )
    assert sorted(root.rglob("*")) == before, "nothing was written there"


def test_a_state_folder_inside_raw_data_by_a_link(
    order: Callable[..., Order], trees: Trees, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = trees.fresh("chexpert", tmp_path)
    (tmp_path / "link").symlink_to(root)
    monkeypatch.setenv("CXR_STATE_DIR", str(tmp_path / "link" / "state"))
    assert refusal(order(sources=(f"chexpert={root}",))) == (
        f"found {tmp_path}/link/state inside the raw data of chexpert at {root}; {APART}"
    )


def test_raw_data_inside_the_data_root(
    order: Callable[..., Order], trees: Trees, tmp_path: Path
) -> None:
    root = trees.fresh("chexpert", tmp_path / "data" / "raw")
    assert open_context(order(sources=(f"chexpert={root}",))).roots == {"chexpert": root}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for a moment")
def test_a_data_root_that_may_not_be_written(order: Callable[..., Order], tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root":
            folder.chmod(folder.stat().st_mode | 0o055)
    given = order(sources=(), replicas=True)
    os.seteuid(65534)
    try:
        line = refusal(given)
    finally:
        os.seteuid(0)
    assert line == (
        f"found no permission at {tmp_path / 'data'}; expected a place that this user may use; "
        f"{MEND}"
    )


INGEST = """
import sys
from pathlib import Path
from infra.errors import InputError
from infra.settings import PRESETS
from tests.damage.test_images import ingest
try:
    ingest("chexpert", Path(sys.argv[1]), Path(sys.argv[2]))
except InputError as error:
    print(error)
"""


def on_a_disk(options: str, raw: Path, disk: Path) -> str:
    """What ingest prints with its data root on a disk that is mounted with these options."""
    disk.mkdir()
    mount = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(disk)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], check=False).returncode
    ):
        pytest.skip("needs a user namespace in which a disk can be mounted")
    done = subprocess.run(
        [*command, sys.executable, "-c", INGEST, str(raw), str(disk / "data")],
        capture_output=True, text=True, cwd=HOUSE, env=cxr_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_read_only_disk(trees: Trees, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    assert on_a_disk("ro", trees.sound("chexpert"), disk) == (
        f"found a read-only file system at {disk / 'data'}; expected a folder that can be written; "
        f"{MEND}"
    )


@pytest.mark.parametrize("size", ["40k", "80k", "120k"])
def test_a_full_disk(size: str, trees: Trees, tmp_path: Path) -> None:
    """Full while tables, or while images are written: the same line."""
    disk = tmp_path / "disk"
    line = on_a_disk(f"size={size}", trees.sound("chexpert"), disk)
    assert line.startswith(f"found no space left at {disk / 'data'}")
    assert line.endswith(f"; expected room for what is written; {MEND}")


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    done = cxr("ingest", "--source", "foo=/tmp", "--data-root", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: found source 'foo'; expected {KNOWN}\n"
