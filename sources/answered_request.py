"""One request for a film with the model's answer: a row of ``answers.parquet`` of coherence."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

AS_WRITTEN: Final = "as-written"
HELD_OUT: Final = "held-out"
"""Words of ours (``request_wordings``) that no dialogue of the offline rules is written in."""
ANSWERED_REQUEST_SCHEMA: Final = pa.schema(
    [
        *(
            pa.field(name, pa.string(), nullable=False)
            for name in ("example_id", "source", "study_id")
        ),
        pa.field("subject_id", pa.string()),
        *(
            pa.field(name, pa.string(), nullable=False)
            for name in ("wording", "prompt", "prediction", "reference")
        ),
    ]
)
"""A request (``prompt``), what the model answered, and the answer it was written with; ``wording``
is whose words the request is in."""
