"""How the stages of a frame run on a device: as they are, or as CUDA graphs that are replayed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from yolact_ros.errors import RuntimeUnavailableError, first_line
from yolact_ros.inference.cuda_graph import capture_graph
from yolact_ros.inference.runtimes.compiler_output import ignore_compiler_warnings

__all__ = ["CudaExecution", "DirectExecution", "compiled_or_plain"]

MARKS = 4

_logger = logging.getLogger(__name__)

Stage = Callable[[], None]


class DirectExecution:
    """Runs stages on one device, takes their time, and waits for them.

    This one runs them as they are, on devices that are done when a call returns.

    Attributes:
        device: where the stages run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks_s = [0.0] * MARKS

    def scope(self) -> AbstractContextManager[object]:
        """Everything else here is called inside of it."""
        return nullcontext()

    def host_buffer(self, size: int) -> Tensor:
        """``uint8[size]`` on the host that can be copied from and to without waiting."""
        return torch.zeros(size, dtype=torch.uint8)

    def record(self, stage: Stage) -> Stage:
        """A faster form of a stage that works on buffers which never move."""
        return stage

    def mark(self, index: int) -> None:
        """Note the moment, 0..3, at which the device has done all that came before."""
        self._marks_s[index] = time.perf_counter()

    def wait(self) -> None:
        """Wait until the device has done everything."""

    def elapsed_ms(self, first: int, second: int) -> float:
        """Time between two marks, after :meth:`wait`."""
        return (self._marks_s[second] - self._marks_s[first]) * 1e3


class CudaExecution(DirectExecution):
    """Stages as CUDA graphs on the current stream, timed by events.

    Three graphs a frame, not one: events between them take the stages' times on every torch
    version, and the network in the middle can be any runtime. Their launches are queued while the
    device works, so the second and third cost it next to nothing.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        with self.scope():
            self._marks = [torch.cuda.Event(enable_timing=True) for _ in range(MARKS)]
            self._done = torch.cuda.Event()

    def scope(self) -> AbstractContextManager[object]:
        return torch.cuda.device(self.device)

    def host_buffer(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=torch.uint8, pin_memory=True)

    def record(self, stage: Stage) -> Stage:
        """A graph; the stage itself, with a warning, where it cannot be captured."""
        try:
            captured = capture_graph(stage, self.device)
        except RuntimeUnavailableError as error:
            _logger.warning("running a stage of the frame without a CUDA graph: %s", error)
            return stage
        return captured.replay

    def mark(self, index: int) -> None:
        self._marks[index].record()

    def wait(self) -> None:
        # For an event, so that other streams of the device go on.
        self._done.record()
        self._done.synchronize()

    def elapsed_ms(self, first: int, second: int) -> float:
        return float(self._marks[first].elapsed_time(self._marks[second]))


def compiled_or_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through torch's compiler, or as it is if the first call shows that it fails."""
    ignore_compiler_warnings()
    chosen: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)

    def call(*arguments: Any) -> Any:
        nonlocal chosen
        if chosen is function:
            return function(*arguments)
        try:
            return chosen(*arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the compiler raises many kinds
            _logger.warning("running %s uncompiled: %s", function.__name__, first_line(error))
            chosen = function
            return function(*arguments)

    return call
