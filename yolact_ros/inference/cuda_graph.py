"""Capturing CUDA graphs: all kernels of a function launched at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from yolact_ros.errors import RuntimeUnavailableError, first_line

__all__ = ["capture_graph"]

WARM_UP_RUNS = 3

Result = TypeVar("Result")


def capture_graph(
    function: Callable[[], Result], device: torch.device
) -> tuple[torch.cuda.CUDAGraph, Result]:
    """Capture a function that reads and writes buffers which never move.

    Other threads may use the device meanwhile. The function runs a few times before, since kernels
    are chosen and loaded, and workspaces allocated, at the first run.

    Args:
        function: does not wait for the device and has shapes that depend on no value.

    Returns:
        The graph, and what the function returned: its tensors are rewritten by every replay.

    Raises:
        RuntimeUnavailableError: the function cannot be captured.
        torch.OutOfMemoryError: the device has no memory left.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(device):
            # Not on the default stream, which cannot be captured.
            stream = torch.cuda.Stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    function()
            torch.cuda.current_stream(device).wait_stream(stream)
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = function()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RuntimeUnavailableError(
            f"it cannot be captured as a CUDA graph ({first_line(error)})"
        ) from error
    return graph, result
