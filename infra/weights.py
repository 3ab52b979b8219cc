"""Where published weights lie, one folder for each model, and what holding them may need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from infra.errors import Unavailable


def weights_folder(root: Path | None, name: str, file: str = "config.json") -> Path:
    """The local folder of published weights, by the publisher's name or as an absolute path.

    Args:
        file: what such a folder has: a model its configuration, a pipeline its index.

    Raises:
        Unavailable: they are not there.
    """
    folder = Path(name) if Path(name).is_absolute() else (root or Path()) / name
    if (root is None and not Path(name).is_absolute()) or not (folder / file).is_file():
        where = "no weights root is set" if root is None else f"no {file} in {folder}"
        raise Unavailable(f"weights {name}: {where}; download them and set CXR_WEIGHTS_ROOT")
    return folder


def require_nf4_package() -> None:
    """Check, without importing it, that the package that holds weights in 4 bits is installed.

    Raises:
        Unavailable: it is not.
    """
    if find_spec("bitsandbytes") is None:
        raise Unavailable(
            "quantize 'nf4': bitsandbytes is not installed; install it beside torch, or set the "
            "stage's quantize to 'none'"
        )
