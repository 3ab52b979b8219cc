"""What the ranks of one training do together; with one process each is a plain answer."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import distributed

from infra.errors import CxrError


def rank_and_ranks() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def on_any_rank(flag: bool) -> bool:
    """Whether any process of the training says so; all meet here.

    The launcher's SIGTERM reaches ranks in different steps, and they must stop after the same one.
    """
    if not distributed.is_initialized():
        return flag
    answer = torch.tensor(float(flag), device=_rank_device())
    distributed.all_reduce(answer, op=distributed.ReduceOp.MAX)
    return bool(answer.item())


def sum_over_ranks(values: tuple[float, ...]) -> tuple[float, ...]:
    """Each value summed over all ranks; all meet here."""
    if not distributed.is_initialized():
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=_rank_device())
    distributed.all_reduce(sums)
    return tuple(sums.tolist())


def largest_over_ranks(values: tuple[float, ...]) -> tuple[float, ...]:
    """The largest of each value over all ranks; all meet here."""
    if not distributed.is_initialized():
        return values
    largest = torch.tensor(values, dtype=torch.float64, device=_rank_device())
    distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
    return tuple(largest.tolist())


def of_first_rank(values: tuple[float, ...]) -> tuple[float, ...]:
    """The first rank's values on all of them; all meet here.

    What is decided together must not hang on what each reads from a disk that they share: one
    that lags behind shows the ranks different folders, and they would wait for each other for ever.
    """
    if not distributed.is_initialized():
        return values
    told = torch.tensor(values, dtype=torch.float64, device=_rank_device())
    distributed.broadcast(told, src=0)
    return tuple(told.tolist())


def part_ranks() -> None:
    """Leave the group of processes together; one process: nothing.

    A rank that ends while its connections are still open may be aborted by the threads that hold
    them, and the launcher then calls the finished stage failed.
    """
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def require_alike(batch: Mapping[str, torch.Tensor], step: int) -> None:
    """All ranks have images in this batch or none has; all meet here.

    Where each weight is gathered when it is used (ZeRO-3), a rank that skips the vision tower would
    leave the others waiting for ever.

    Raises:
        CxrError: some ranks have images and some have not.
    """
    rank, ranks = rank_and_ranks()
    (with_images,) = sum_over_ranks((float("pixel_values" in batch),))
    if with_images not in (0.0, float(ranks)):
        raise CxrError(
            f"found images on {with_images:.0f} of {ranks} ranks at step {step} (rank {rank}: "
            f"{', '.join(sorted(batch))}); expected them on all or none; make batches of one kind "
            "or train without deepspeed_zero 3"
        )


def seed_step(seed: int, step: int) -> None:
    """Give dropout of this step its own random numbers, by seed, step and rank.

    So a stage that is resumed needs no state of a generator, which would belong to one rank.
    """
    entropy = np.random.SeedSequence([seed, step, rank_and_ranks()[0]]).generate_state(1)
    number = int(entropy[0])
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def _rank_device() -> torch.device:
    on_gpu = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
