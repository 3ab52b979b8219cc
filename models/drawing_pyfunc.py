"""The registered model that draws: a prompt (a view's sentence and a report's text) → PNG bytes.

MLflow stores this file itself (models from code: nothing is pickled) beside the pipeline's folder,
and runs it in the server; the server has cxrflow installed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from PIL import Image

from infra.errors import InputError
from infra.settings.diffusion import DrawSettings
from models.drawing_sampler import DrawingSampler, Request
from sources.learned_views import VIEWS_FILE, read_views

PIPELINE_ARTIFACT = "model"
SETTINGS_ARTIFACT = "serving"
SETTINGS_FILE = "drawing.json"


class DrawingModel(PythonModel):
    """Columns ``prompt`` and, optionally, ``seed`` → ``film``, the bytes of an 8-bit grey PNG, and
    ``refused``, why a row has none.

    A film follows from its prompt and seed (0 where none is given), whatever else is asked for.
    """

    def __init__(self) -> None:
        self.sampler: DrawingSampler | None = None

    def load_context(self, context: Any) -> None:
        """Load the pipeline from its folder."""
        told = Path(context.artifacts[SETTINGS_ARTIFACT])
        settings = DrawSettings.model_validate_json((told / SETTINGS_FILE).read_text())
        pipeline, views = Path(context.artifacts[PIPELINE_ARTIFACT]), read_views(told / VIEWS_FILE)
        self.sampler = DrawingSampler.load(pipeline, settings, "auto", views=views)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """One film per input row; one that asks for a view which the model has not been shown has
        none, and loses no other row its own.

        MLflow would derive another schema from type hints, so there are none.

        Raises:
            InputError: a row without a prompt, or with a seed that is no number.
        """
        import pandas as pd

        del context, params
        assert self.sampler is not None, "load_context has not run"
        requests = [request_of(row) for row in prompts_of(model_input)]
        refused = [why_refused(self.sampler, request.prompt) for request in requests]
        asked = zip(requests, refused, strict=True)
        drawn = iter(pngs_of(self.sampler, [each for each, why in asked if why is None]))
        films = [next(drawn) if why is None else None for why in refused]
        return pd.DataFrame({"film": films, "refused": pd.Series(refused, dtype=object)})


def prompts_of(model_input: Any) -> Sequence[Mapping[str, Any]]:
    """Rows of a DataFrame, or of a list of mappings or texts."""
    if hasattr(model_input, "to_dict"):
        rows: Sequence[Mapping[str, Any]] = model_input.to_dict("records")
        return rows
    return [item if isinstance(item, Mapping) else {"prompt": item} for item in model_input]


def request_of(row: Mapping[str, Any]) -> Request:
    """One input row.

    Raises:
        InputError: the prompt is absent or empty, or the seed is no whole number from 0 on.
    """
    prompt, seed = row.get("prompt"), row.get("seed")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError("a row without a prompt", "what the film shall show", "fill the column")
    if seed is None or (isinstance(seed, float) and math.isnan(seed)):  # as pandas has what is not
        return Request(prompt, 0)
    is_number = isinstance(seed, Real) and not isinstance(seed, bool)
    if not is_number or not float(seed).is_integer() or seed < 0:
        raise InputError(f"the seed {seed}", "a whole number from 0 on", "correct it")
    return Request(prompt, int(seed))


def why_refused(sampler: DrawingSampler, prompt: str) -> str | None:
    """Why a prompt is not drawn, in one line."""
    try:
        sampler.require_learned(prompt)
    except InputError as error:
        return str(error)
    return None


def pngs_of(sampler: DrawingSampler, requests: Sequence[Request]) -> list[bytes]:
    """The films as PNG, drawn in batches of the sampler's size."""
    size = sampler.settings.batch_size
    found: list[bytes] = []
    for start in range(0, len(requests), size):
        for film in sampler.draw(requests[start : start + size]):
            with io.BytesIO() as sink:
                Image.fromarray(film).save(sink, "PNG")
                found.append(sink.getvalue())
    return found


set_model(DrawingModel())
