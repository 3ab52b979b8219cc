"""Reading ahead: processes beside the trainer decode the films of its next batches.

They are forked, as PyTorch's loader does by itself: each has the model's libraries at once, and one
thread, so that none of another's locks can hold it up. They touch no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.util import Finalize

from torch.utils.data import get_worker_info

from infra.errors import CxrError
from infra.launch import end_with_starter
from models.data import ExampleShards, Sample
from models.histories import Histories
from models.packing import Batch

_AFTER_ITS_QUEUE = -100  # multiprocessing ends a queue's thread at -5, the last of its own


@dataclass(frozen=True)
class Failed:
    """What stands in a batch's place where a worker met an error raised on purpose.

    PyTorch would raise it anew as another one, with a page of traceback for a message.
    """

    error: CxrError


@dataclass(frozen=True)
class BatchReader:
    """Rows of the examples → a batch, in the trainer or in a worker of its loader."""

    examples: ExampleShards | Histories
    collate: Callable[[list[Sample]], Batch]

    def __call__(self, rows: list[int]) -> Batch | Failed:
        """The batch of these rows."""
        if get_worker_info() is None:
            return self._read(rows)
        _be_a_worker()
        try:
            return self._read(rows)
        except CxrError as error:
            return Failed(error)

    def _read(self, rows: list[int]) -> Batch:
        return self.collate([self.examples[row] for row in rows])


@cache
def _be_a_worker() -> None:
    """Once in each: end with the trainer, and not before it, and take nothing of it along.

    SIGTERM is sent to the trainer's whole group, and the trainer still wants a batch for the step
    that it is in, after which it makes a checkpoint: so a worker is a group of its own. What
    libraries left in the trainer to be done when its threads end is not the worker's to do: Prefect
    would wait there for a service whose thread was not forked, and fail.
    """
    os.setpgid(0, 0)
    end_with_starter()
    Finalize(None, os._exit, args=(0,), exitpriority=_AFTER_ITS_QUEUE)


def whole_batches(batches: Iterator[Batch | Failed]) -> Iterator[Batch]:
    """The same batches.

    Raises:
        CxrError: one could not be made; what its reader met.
    """
    for batch in batches:
        if isinstance(batch, Failed):
            raise batch.error
        yield batch
