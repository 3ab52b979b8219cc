"""Which version an alias names and where its files are; the command's one-line errors."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from cli_world import Say
from models_world import trained_world
from serve_world import order, register_model, registry_uri, writer_folder

from infra.errors import InputError, Unavailable
from infra.tokens import Role, add_token
from infra.tracking_models import ModelShelf, Reference, Version, parts_of
from tasks.serve.desk import Desk
from tasks.serve.front import Front
from tasks.serve.keeper import Hands, Keeper, Registered, Unregistered
from tasks.serve.work import front_of, serve_until, source_of

# MLflow and SQLAlchemy warn about each other; what our own code warns about, the other files see.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    assert register_model(root) == 1
    return root


def shelf(root: Path) -> ModelShelf:
    return ModelShelf(registry_uri(root), root / "copies")


@pytest.mark.parametrize("at", ["@champion", "1"])
def test_a_version_is_found_by_alias_and_by_number(registry: Path, at: str) -> None:
    found = shelf(registry).find(Reference("cxr", at))
    assert (found, str(found)) == (Version("cxr", "1"), "cxr/1")
    parts = parts_of(shelf(registry).folder(found))
    assert (parts.model / "model.safetensors").is_file()
    assert (parts.settings / "serving.json").is_file()
    assert not parts.draws
    assert not (registry / "copies").exists(), "what is on this machine is not copied"
    shelf(registry).forget(found)
    assert parts.model.is_dir()


@pytest.mark.parametrize(
    ("text", "name", "at"),
    [
        ("cxr@champion", "cxr", "@champion"),
        ("models:/cxr@candidate", "cxr", "@candidate"),
        ("models:/my model/12", "my model", "12"),
        ("cxr.b/3", "cxr.b", "3"),
    ],
)
def test_a_model_is_named_as_mlflow_names_it(text: str, name: str, at: str) -> None:
    assert Reference.read(text) == Reference(name, at)


@pytest.mark.parametrize("text", ["", "cxr", "cxr@", "cxr/new", "@champion", "a/b/c", "runs:/a/b"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected NAME@ALIAS or NAME/VERSION"):
        Reference.read(text)


@pytest.mark.parametrize(
    "reference", [Reference("cxr", "@queen"), Reference("cxr", "7"), Reference("none", "@champion")]
)
def test_what_is_not_registered_is_told(registry: Path, reference: Reference) -> None:
    with pytest.raises(InputError, match=f"no version '{reference.at}' of model"):
        shelf(registry).find(reference)


def test_a_registry_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no registry at"):
        shelf(tmp_path).find(Reference("cxr", "@champion"))


def test_a_registry_that_does_not_answer_is_another_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unavailable, match="the registry does not answer"):
            ModelShelf(uri, tmp_path).find(Reference("cxr", "@champion"))


def test_a_folder_serves_without_its_registry(tmp_path: Path) -> None:
    folder = writer_folder(tmp_path / "carried")
    source = source_of(str(folder), order(tmp_path))
    assert source == Unregistered(folder)
    assert source.find() == Version("carried", "folder")
    assert source.parts(source.find()).model == folder / "artifacts" / "model"
    assert isinstance(source_of("cxr@champion", order(tmp_path)), Registered)


MLMODELS = {
    "": "cannot be read",
    "a: [": "cannot be read (ParserError)",
    "flavors: {sklearn: {}}": "cannot be read (KeyError)",
    "!!python/object/apply:os.system ['touch owned']": "cannot be read (ConstructorError)",
    "flavors: {python_function: {}}": "no part 'model'",
    "flavors: {python_function: {artifacts: {model: {path: ../..}, serving: {path: a}}}}":
        "no part 'model'",
    "flavors: {python_function: {artifacts: {model: {path: /etc}, serving: {path: a}}}}":
        "no part 'model'",
    "flavors: {python_function: {artifacts: {model: {path: out}, serving: {path: a}}}}":
        "no part 'model'",
}  # fmt: skip


@pytest.mark.parametrize("text", MLMODELS)
def test_a_folder_that_is_no_model_of_ours_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None leads out of it, by a link neither, and nothing of it is run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "out").symlink_to(trained_world())
    (folder / "MLmodel").write_text(text)
    with pytest.raises(InputError) as error:
        parts_of(folder)
    assert MLMODELS[text].partition(" (")[0] in str(error.value)
    assert not (tmp_path / "owned").exists()


def opened(root: Path, **changes: object) -> Front:
    """A server that is told to stop at once."""

    async def work() -> Front:
        found: list[Front] = []
        stop = asyncio.Event()

        def on_ready(_: str, front: Front) -> None:
            found.append(front)
            stop.set()

        await serve_until(stop, order(root, **changes), on_ready)
        return found[0]

    return asyncio.run(work())


@pytest.mark.slow
def test_an_alias_is_served_by_its_number(registry: Path) -> None:
    front = opened(registry)
    assert front.keepers["answers"].version == Version("cxr", "1")


def test_a_model_that_writes_cannot_draw(registry: Path) -> None:
    async def work() -> None:
        keeper = Keeper(Registered(shelf(registry), Reference("cxr", "1")), Desk(1), Hands(True))
        with pytest.raises(InputError, match="found a model that writes in cxr/1; expected a"):
            await keeper.open()

    asyncio.run(work())


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_told_in_the_childs_words(tmp_path: Path) -> None:
    folder = writer_folder(tmp_path / "broken")
    (folder / "artifacts" / "model" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="artifacts/model, which cannot be read"):
        opened(tmp_path, model=str(folder))


def test_a_port_that_is_taken_is_told(registry: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"which cannot be bound .*; expected a free port"):
            opened(registry, port=other.getsockname()[1])


def test_tokens_are_read_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--host 0\.0\.0\.0 without tokens"):
        front_of(order(tmp_path, host="0.0.0.0"))
    path = tmp_path / "tokens.toml"
    add_token(path, "one", Role.VIEWER)
    front = front_of(order(tmp_path, host="0.0.0.0", token_file=path))
    assert front.access.tokens is not None
    assert list(front.keepers) == ["answers"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["cxr"], "found the model 'cxr'; expected NAME@ALIAS or NAME/VERSION"),
        (["cxr@champion"], "found no registry at sqlite:///"),
        (["cxr/1", "--host", "0.0.0.0"], "found --host 0.0.0.0 without tokens"),
        (["cxr/1", "--device", "gpu"], "found the device 'gpu'; expected auto or cpu"),
        (["cxr/1", "--token-file", "none.toml"], "found none.toml, which cannot be read"),
    ],
)
def test_a_bad_command_is_one_line(
    cxr: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cxr("serve", *arguments, "--port", "0")
    assert said.code == 2
    assert line in said.err
    assert said.out == ""
    assert not (tmp_path / "data").exists()


def test_what_a_model_was_registered_with_is_what_it_is_asked_by(registry: Path) -> None:
    parts = parts_of(shelf(registry).folder(Version("cxr", "1")))
    told = json.loads((parts.settings / "serving.json").read_text())
    assert told["generate"]["max_new_tokens"] == 12
