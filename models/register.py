"""``python -m models.register run.json``: put a finetuned model into the MLflow registry.

Leaves ``registered.json`` in the output folder: name, version, run id, model URI and alias.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from infra.child import report, run_child, write_json
from infra.runs import RegisterRun
from infra.tracking import Registered, Registration
from infra.tracking import register as register_in_mlflow
from infra.tracking_runs import RunBook
from models.serving import SETTINGS_FILE, ServingSettings
from models.synthetic_film import synthetic_film
from models.weights import model_type

PYFUNC = Path(__file__).with_name("pyfunc.py")
COLUMNS = {"image": "binary", "indication": "string"}
OUTPUTS = {"findings": "string", "finish_reason": "string"}
PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "pydantic", "pyarrow"),
    *("pillow", "opencv-python-headless", "simplejpeg", "xxhash", "fsspec"),
    *("pydicom", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle"),
    "python-gdcm",
)
"""What cxrflow needs to serve; cxrflow itself is on no index and must be installed beside them."""


def register(run: RegisterRun) -> int:
    """Register and write the receipt; returns the exit code."""
    model_type(run.model)
    registered = _register(run)
    run.output.mkdir(parents=True, exist_ok=True)
    receipt: dict[str, object] = asdict(registered)
    write_json(run.output / "registered.json", receipt)
    report("done", **receipt)
    return 0


def public_version(package: str) -> str:
    """Without a local suffix such as ``+cpu``, which no index carries."""
    return version(package).partition("+")[0]


def _register(run: RegisterRun) -> Registered:
    given = {"image": [synthetic_film()], "indication": ["Cough."]}
    asked = {"question": ["Is there a pneumothorax?"]} if run.answers else {}
    example = pd.DataFrame({**given, **asked}, dtype=object)
    settings = ServingSettings(
        **run.images.model_dump(),
        generate=run.generate,
        answers=run.answers,
        section=run.section,
        request=run.request,
    )
    with tempfile.TemporaryDirectory(prefix="cxrflow-register-") as folder:
        serving = Path(folder) / "serving"
        serving.mkdir()
        (serving / SETTINGS_FILE).write_text(settings.model_dump_json(indent=1) + "\n")
        return register_in_mlflow(
            Registration(
                book=RunBook(run.tracking_uri, run.experiment),
                name=run.model_name,
                alias=run.alias,
                run_name=run.run_name,
                parent_run_id=run.parent_run_id,
                tags=run.tags,
                metrics=run.metrics,
                code=PYFUNC,
                artifacts={"model": run.model, "serving": serving},
                example=example,
                columns=COLUMNS | dict.fromkeys(asked, "string"),
                outputs=OUTPUTS,
                requirements=[f"{name}=={public_version(name)}" for name in PACKAGES],
            )
        )


if __name__ == "__main__":
    sys.exit(run_child(RegisterRun, register))
