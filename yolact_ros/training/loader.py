"""Batches in order of steps, prepared by worker processes ahead of their use."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.processes import Processes
from yolact_ros.training.targets import ImageTarget

__all__ = ["step_parts"]

Example = tuple[torch.Tensor, ImageTarget]


class _Examples(Dataset[Example]):
    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __getitem__(self, number: int) -> Example:
        return self._images.example(number)


class _PartNumbers(Sampler[list[int]]):
    """Numbers of the examples of each part of each step for one process."""

    def __init__(
        self, first_step: int, steps: int, batch_size: int, accumulate: int, processes: Processes
    ) -> None:
        self._steps = range(first_step, steps)
        self._batch_size = batch_size
        self._accumulate = accumulate
        self._processes = processes

    def __len__(self) -> int:
        return len(self._steps) * self._accumulate

    def __iter__(self) -> Iterator[list[int]]:
        size = self._batch_size // (self._accumulate * self._processes.count)
        for step in self._steps:
            for part in range(self._accumulate):
                place = part * self._processes.count + self._processes.rank
                first = step * self._batch_size + place * size
                yield list(range(first, first + size))


def step_parts(
    images: TrainingImages,
    *,
    first_step: int,
    steps: int,
    batch_size: int,
    accumulate: int,
    processes: Processes,
    workers: int,
) -> Iterator[list[Batch]]:
    """For each step from ``first_step`` on, the parts of it that this process trains on."""
    loader: DataLoader[Example] = DataLoader(
        _Examples(images),
        batch_sampler=_PartNumbers(first_step, steps, batch_size, accumulate, processes),
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_quiet_worker,
        prefetch_factor=2 if workers else None,
        # A forked worker hangs in OpenCV when its thread pool was already running in the parent.
        multiprocessing_context="spawn" if workers else None,
    )
    parts: list[Batch] = []
    for batch in loader:
        parts.append(batch)
        if len(parts) == accumulate:
            yield parts
            parts = []


def _collate(examples: list[Example]) -> Batch:
    return Batch(
        torch.stack([image for image, _ in examples]), tuple(target for _, target in examples)
    )


def _quiet_worker(worker: int) -> None:
    """One thread for each worker: many small images profit from processes, not from threads."""
    del worker
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
