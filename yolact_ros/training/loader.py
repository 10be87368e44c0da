"""Batches in order of steps, prepared by worker processes ahead of their use."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from yolact_ros.errors import WorkerError
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.processes import Processes
from yolact_ros.workers import Workers, end_with_parent

__all__ = ["step_parts"]


class _Parts(Dataset[Batch]):
    """Parts of steps, by the numbers of their examples."""

    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __getitem__(self, numbers: list[int]) -> Batch:
        examples = [self._images.example(number) for number in numbers]
        return Batch(
            torch.stack([image for image, _ in examples]), tuple(target for _, target in examples)
        )


class _PartsInWorker(Dataset[Batch | str]):
    """The same in a worker process; what goes wrong there comes back as text.

    A file holds the parts: ``multiprocessing`` waits for ever to hand over more than fits into a
    pipe (64 kB) to a process that dies while it starts.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._parts: _Parts | None = None

    def __getitem__(self, numbers: list[int]) -> Batch | str:
        try:
            if self._parts is None:
                self._parts = pickle.loads(self._file.read_bytes())
            return self._parts[numbers]
        except Exception as error:
            return f"{type(error).__name__}: {error}"


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


@contextmanager
def step_parts(
    images: TrainingImages,
    *,
    first_step: int,
    steps: int,
    batch_size: int,
    accumulate: int,
    processes: Processes,
    workers: int,
) -> Iterator[Iterator[list[Batch]]]:
    """For each step from ``first_step`` on, the parts of it that this process trains on.

    Raises:
        WorkerError: within the ``with`` block, at any of its lines: a worker process died.
    """
    numbers = _PartNumbers(first_step, steps, batch_size, accumulate, processes)
    if not workers:
        parts = _Parts(images)
        yield _steps((parts[part] for part in numbers), accumulate)
        return
    cure = "fewer --workers need less memory, --workers 0 starts none"
    with (
        Workers("prepares images", cure) as started,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "parts.pickle"
        file.write_bytes(pickle.dumps(_Parts(images)))
        loader: DataLoader[Batch | str] = DataLoader(
            _PartsInWorker(file),
            sampler=numbers,
            batch_size=None,
            num_workers=workers,
            worker_init_fn=_set_up_worker,
            # A forked worker hangs in OpenCV when its thread pool already ran in the parent.
            multiprocessing_context="spawn",
        )
        prepared: Any = None
        try:
            with started.starting():
                prepared = iter(loader)
            yield _steps((_checked(part) for part in prepared), accumulate)
        finally:
            # torch itself ends them when the last reference goes, such as that of a traceback.
            if prepared is not None:
                prepared._shutdown_workers()


def _steps(parts: Iterator[Batch], accumulate: int) -> Iterator[list[Batch]]:
    while step := list(islice(parts, accumulate)):
        yield step


def _checked(part: Batch | str) -> Batch:
    if isinstance(part, str):
        raise WorkerError(f"preparing an image failed: {part}; --workers 0 shows where")
    return part


def _set_up_worker(worker: int) -> None:
    """One thread for each worker: many small images profit from processes, not from threads."""
    del worker
    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
