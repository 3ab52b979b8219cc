"""``python -m models.register_drawing run.json``: put a pipeline that draws into the registry.

Leaves ``registered.json`` in the output folder: name, version, run id, model URI and alias.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from infra.child import report, run_child, write_json
from infra.runs import RegisterDrawingRun
from infra.tracking import Registered, Registration
from infra.tracking import register as register_in_mlflow
from infra.tracking_runs import RunBook
from models.pipeline_folder import read_facts
from models.register import public_version
from sources.drawing import drawing_prompt
from sources.learned_views import VIEWS_FILE

PYFUNC = Path(__file__).with_name("drawing_pyfunc.py")
SETTINGS_FILE = "drawing.json"
COLUMNS = {"prompt": "string", "seed": "long"}
OUTPUTS = {"film": "binary", "refused": "string"}
PACKAGES = (
    *("torch", "diffusers", "transformers", "tokenizers", "safetensors", "numpy", "pydantic"),
    *("pyarrow", "pillow", "xxhash", "fsspec"),
)
"""What cxrflow needs to draw; cxrflow itself is on no index and must be installed beside them."""
EXAMPLE = drawing_prompt("PA", "There is a small left pleural effusion. The heart is normal.")
"""Nobody's report."""


def register(run: RegisterDrawingRun) -> int:
    """Register and write the receipt; returns the exit code."""
    read_facts(run.model)
    registered = _register(run)
    run.output.mkdir(parents=True, exist_ok=True)
    receipt: dict[str, object] = asdict(registered)
    write_json(run.output / "registered.json", receipt)
    report("done", **receipt)
    return 0


def _register(run: RegisterDrawingRun) -> Registered:
    with tempfile.TemporaryDirectory(prefix="cxrflow-register-") as folder:
        serving = Path(folder) / "serving"
        serving.mkdir()
        (serving / SETTINGS_FILE).write_text(run.draw.model_dump_json(indent=1) + "\n")
        if run.views is not None:
            (serving / VIEWS_FILE).write_text(json.dumps(run.views) + "\n")
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
                example=pd.DataFrame({"prompt": [EXAMPLE], "seed": [0]}),
                columns=COLUMNS,
                outputs=OUTPUTS,
                requirements=[f"{name}=={public_version(name)}" for name in PACKAGES],
            )
        )


if __name__ == "__main__":
    sys.exit(run_child(RegisterDrawingRun, register))
