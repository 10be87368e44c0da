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
from torch.utils.data import DataLoader, Dataset

from yolact_ros.errors import WorkerError
from yolact_ros.signals import interrupts_held
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.processes import Processes
from yolact_ros.workers import Workers, end_with_parent

__all__ = ["step_parts"]


class _PartsInWorker(Dataset[Batch | str]):
    """Parts of steps, by the numbers of their examples; what goes wrong comes back as text.

    A file holds the images: ``multiprocessing`` waits for ever to hand over more than fits into a
    pipe (64 kB) to a process that dies while it starts.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._images: TrainingImages | None = None

    def __getitem__(self, numbers: range) -> Batch | str:
        try:
            if self._images is None:
                self._images = pickle.loads(self._file.read_bytes())
            return _part(self._images, numbers)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def _part(images: TrainingImages, numbers: range) -> Batch:
    examples = [images.example(number) for number in numbers]
    return Batch(
        torch.stack([image for image, _ in examples]), tuple(target for _, target in examples)
    )


def _part_numbers(
    first_step: int, steps: int, batch_size: int, accumulate: int, processes: Processes
) -> Iterator[range]:
    """Numbers of the examples of each part of each step for one process."""
    size = batch_size // (accumulate * processes.count)
    for step in range(first_step, steps):
        for part in range(accumulate):
            place = part * processes.count + processes.rank
            first = step * batch_size + place * size
            yield range(first, first + size)


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
    numbers = _part_numbers(first_step, steps, batch_size, accumulate, processes)
    if not workers:
        yield _steps((_part(images, part) for part in numbers), accumulate)
        return
    cure = "fewer --workers need less memory, --workers 0 starts none"
    with (
        Workers("prepares images", cure) as started,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "images.pickle"
        file.write_bytes(pickle.dumps(images))
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
                with interrupts_held():
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
