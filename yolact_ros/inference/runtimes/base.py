"""What runs a network: one interface for eager, compiled and exported networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from yolact_ros.config import InputShape
from yolact_ros.errors import ImageError, RuntimeUnavailableError
from yolact_ros.inference.runtimes.quantized import QuantizedEngine
from yolact_ros.structures import NetworkOutput

__all__ = ["DeviceMemoryError", "Runtime"]


class DeviceMemoryError(RuntimeUnavailableError):
    """The device ran out of memory; a smaller network input may still fit."""


class Runtime(ABC):
    """Runs one network at one input size. Not thread-safe.

    Args:
        shape: of the inputs that it takes.
        device: where it runs.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        reason: why this runtime was chosen or fallen back to, for people.

    Attributes:
        name: as in the parameter ``runtime``.
        max_batch: most images in one :meth:`run`.
        quantized: the int8 network in the cache; None in other precisions.
    """

    name: ClassVar[str]
    max_batch: int = 1
    quantized: QuantizedEngine | None = None

    def __init__(
        self, *, shape: InputShape, device: torch.device, precision: str, reason: str = ""
    ) -> None:
        self.shape = shape
        self.device = device
        self.precision = precision
        self.reason = reason

    @property
    def input_size_px(self) -> int:
        """Longer side of the largest input."""
        return max(self.shape.height_px, self.shape.width_px)

    def run(self, images: Tensor) -> NetworkOutput:
        """Run the network.

        Args:
            images (Tensor[B, 3, h, w]): float32, normalised RGB, on :attr:`device`;
                B is at most :attr:`max_batch`.

        Returns:
            NetworkOutput: float32, valid until the next call; ``semantic_logits`` is None.

        Raises:
            ImageError: another shape or type.
            DeviceMemoryError: the device has no memory left; what could be freed was freed.
            RuntimeUnavailableError: the runtime is closed.
        """
        count = images.shape[0] if images.ndim == 4 else 0
        takes = count and images.shape[1] == 3 and self.shape.takes(*images.shape[2:])
        if not takes or images.dtype != torch.float32:
            raise ImageError(
                f"the network input is {images.dtype}{list(images.shape)}, expected "
                f"torch.float32[B, 3, h, w] for {self.shape} px"
            )
        if not 1 <= count <= self.max_batch:
            raise ImageError(
                f"the network input has {count} images, the runtime {self.name} takes "
                f"1..{self.max_batch}"
            )
        try:
            with torch.inference_mode():
                return self._run(images)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise DeviceMemoryError(
                f"{self.device} ran out of memory at an input of {self.input_size_px} px; use a "
                "smaller input_size or end other programs on the device"
            ) from error

    @abstractmethod
    def _run(self, images: Tensor) -> NetworkOutput:
        """:meth:`run` for valid images, in inference mode."""

    @abstractmethod
    def close(self) -> None:
        """Free what the runtime holds; it cannot run afterwards. Calling it again does nothing."""

    def describe(self) -> dict[str, str]:
        """Runtime, precision, device, input size and the reason for the choice, for people."""
        description = {
            "runtime": self.name,
            "precision": self.precision,
            "device": str(self.device),
            "input_size_px": str(self.input_size_px),
        }
        if self.reason:
            description["reason"] = self.reason
        return description

    def __str__(self) -> str:
        """Name, precision and the reason for the choice, for people."""
        return f"{self.name} {self.precision}" + (f" ({self.reason})" if self.reason else "")

    def _closed(self) -> RuntimeUnavailableError:
        return RuntimeUnavailableError(f"the runtime {self.name} is closed; open a new one")
