"""Capturing CUDA graphs: all kernels of a function launched at once."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from yolact_ros.errors import RuntimeUnavailableError, first_line

__all__ = ["CapturedGraph", "capture_graph"]

WARM_UP_RUNS = 3

Result = TypeVar("Result")

# torch waits for the whole device before each capture, which breaks another thread's; and what
# another thread launches on the stream of a capture becomes part of it.
_one_capture = threading.Lock()


@dataclass(frozen=True)
class CapturedGraph(Generic[Result]):
    """The kernels of a function, launched at once.

    Attributes:
        graph: knows its tensors by their addresses alone.
        function: what was captured; holds those tensors, weights too, which would otherwise be
            freed and overwritten.
        result: what the function returned; every replay rewrites its tensors.
    """

    graph: torch.cuda.CUDAGraph
    function: Callable[[], Result]
    result: Result

    def replay(self) -> None:
        """Launch the kernels on the current stream."""
        self.graph.replay()


def capture_graph(function: Callable[[], Result], device: torch.device) -> CapturedGraph[Result]:
    """Capture a function that reads and writes buffers which never move.

    Other threads may use the device meanwhile. The function runs a few times before, since kernels
    are chosen and loaded, and workspaces allocated, at the first run.

    Args:
        function: does not wait for the device and has shapes that depend on no value; holds the
            tensors that it reads.

    Raises:
        RuntimeUnavailableError: the function cannot be captured.
        torch.OutOfMemoryError: the device has no memory left.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(device), _one_capture:
            stream = _capture_stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    function()
            torch.cuda.current_stream(device).wait_stream(stream)
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                result = function()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeUnavailableError(
            f"it cannot be captured as a CUDA graph ({first_line(error)})"
        ) from error
    return CapturedGraph(graph, function, result)


@functools.cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of a device that captures are made on; the default one cannot be captured.

    torch's own belongs to the device of the first capture. One for all, since cuBLAS keeps a
    workspace of 32 MiB for each stream that it has been used on.
    """
    return torch.cuda.Stream(device)
