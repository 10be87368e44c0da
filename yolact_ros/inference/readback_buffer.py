"""What goes from the device to the host: one buffer, one copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.inference.device_execution import DirectExecution
from yolact_ros.inference.device_frame import FrameDetections
from yolact_ros.ops.device_masks import WINDOW_BYTES, MaskGrid, mask_rectangles

__all__ = ["ExtraWindow", "ReadbackBuffer"]

NUMBER_BYTES = 4


class ReadbackBuffer:
    """A table of numbers, rectangles and windows of mask bits, on the device and on the host.

    Args:
        columns: of the table, which has one row more; 0 is no table.

    Attributes:
        table, rectangles, windows: parts of the device's buffer: float32[rows + 1, columns],
            int32[rows, 4], uint8[windows, WINDOW_BYTES].
        host_table, host_rectangles, host_bits: the same on the host, the windows as one string.
    """

    def __init__(self, execution: DirectExecution, rows: int, columns: int, windows: int) -> None:
        sizes = [
            NUMBER_BYTES * (rows + 1) * columns,
            NUMBER_BYTES * rows * 4,
            WINDOW_BYTES * windows,
        ]
        self._device = torch.zeros(sum(sizes), dtype=torch.uint8, device=execution.device)
        self._host = execution.host_buffer(sum(sizes))
        table, rectangles, bits = self._device.split(sizes)
        self.table = table.view(torch.float32).view(rows + 1, columns)
        self.rectangles = rectangles.view(torch.int32).view(rows, 4)
        self.windows = bits.view(windows, WINDOW_BYTES)
        table, rectangles, bits = self._host.split(sizes)
        self.host_table: NDArray[np.float32] = (
            table.view(torch.float32).view(rows + 1, columns).numpy()
        )
        self.host_rectangles: NDArray[np.int32] = rectangles.view(torch.int32).view(-1, 4).numpy()
        self.host_bits: NDArray[np.uint8] = bits.numpy()

    def send(self) -> None:
        """Start the copy."""
        self._host.copy_(self._device, non_blocking=True)


class ExtraWindow:
    """Any one window of the mask bits of the last frame, at any stride.

    Args:
        found: the buffers that hold the last frame's detections.
        window_bits: :func:`~yolact_ros.ops.device_masks.window_bits`, compiled or not.
        crop_in_image: see :func:`~yolact_ros.ops.crops.assemble_mask_crops`.
    """

    def __init__(
        self,
        execution: DirectExecution,
        found: FrameDetections,
        window_bits: Callable[[Tensor, Tensor, MaskGrid, Tensor], Tensor],
        *,
        crop_in_image: bool,
    ) -> None:
        rows, height, width = found.planes.shape
        self._execution = execution
        self._readback = readback = ReadbackBuffer(execution, rows, 0, 1)
        self._staging = execution.host_buffer(NUMBER_BYTES * 4).view(torch.int32)
        self._numbers = torch.ones(4, dtype=torch.int32, device=execution.device)
        *sizes, first_byte = self._numbers.unbind()
        grid = MaskGrid(*sizes)
        boxes, count = found.table[:-1, :4], found.table[-1, 0]

        def make() -> None:
            rectangles = mask_rectangles(
                boxes, count, (height, width), grid, crop_in_image=crop_in_image
            )
            readback.rectangles.copy_(rectangles)
            readback.windows[0].copy_(window_bits(found.planes, rectangles, grid, first_byte))

        self._make = execution.record(make)

    def fetch(
        self, size_px: tuple[int, int], stride: int, first_byte: int
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Make a window and wait for it.

        Returns:
            Rectangles (int32[K, 4]) and the window; the next call overwrites both.
        """
        self._staging.copy_(torch.tensor((*size_px, stride, first_byte), dtype=torch.int32))
        self._numbers.copy_(self._staging, non_blocking=True)
        self._make()
        self._readback.send()
        self._execution.wait()
        return self._readback.host_rectangles, self._readback.host_bits
