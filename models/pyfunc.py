"""The registered model: a DICOM, PNG or JPEG image, optionally an indication → findings; or with a
question → its answer.

MLflow stores this file itself (models from code: nothing is pickled) beside the model's folder, and
runs it in the server; the server has cxrflow installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from infra.errors import InputError
from models.serving import FindingsService, Question, read_settings

MODEL_ARTIFACT = "model"
SETTINGS_ARTIFACT = "serving"


class FindingsModel(PythonModel):
    """Columns ``image`` (bytes), ``indication`` and, where the model was scored on questions,
    ``question`` → ``findings`` (the answer where something was asked), ``finish_reason``."""

    def __init__(self) -> None:
        self.service: FindingsService | None = None

    def load_context(self, context: Any) -> None:
        """Load the model from its folder."""
        settings = read_settings(Path(context.artifacts[SETTINGS_ARTIFACT]))
        self.service = FindingsService.load(Path(context.artifacts[MODEL_ARTIFACT]), settings)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """One row of findings per input row.

        MLflow would derive another schema from type hints, so there are none.

        Raises:
            InputError: a row without image, or an image that cannot be read.
        """
        import pandas as pd

        del context, params
        assert self.service is not None, "load_context has not run"
        questions = [question_of(row) for row in rows_of(model_input)]
        written = self.service.answer(questions)
        return pd.DataFrame(
            {
                "findings": [each.text for each in written],
                "finish_reason": [each.finish_reason for each in written],
            }
        )


def rows_of(model_input: Any) -> Sequence[Mapping[str, Any]]:
    """Rows of a DataFrame, or of a list of mappings or bytes."""
    if hasattr(model_input, "to_dict"):
        rows: Sequence[Mapping[str, Any]] = model_input.to_dict("records")
        return rows
    return [item if isinstance(item, Mapping) else {"image": item} for item in model_input]


def question_of(row: Mapping[str, Any]) -> Question:
    """One input row; a missing indication may be None or NaN.

    The image comes as bytes and never as a path: a served model must not read its server's files
    for whoever asks.

    Raises:
        InputError: there are no bytes in ``image``.
    """
    image, *texts = (_given(row.get(key)) for key in ("image", "indication", "question"))
    if not isinstance(image, bytes | bytearray):
        found = (
            "a row without image" if image is None else f"an image of type {type(image).__name__}"
        )
        raise InputError(found, "the bytes of a DICOM, PNG or JPEG file", "fill the column image")
    return Question(bytes(image), *(None if text is None else str(text) for text in texts))


def _given(value: Any) -> Any:
    """None for what pandas uses for missing values."""
    return None if value is None or value != value else value


set_model(FindingsModel())
