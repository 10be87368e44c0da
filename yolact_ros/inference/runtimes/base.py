"""What runs a network: one interface for eager, compiled and exported networks."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from yolact_ros.errors import ImageError, RuntimeUnavailableError
from yolact_ros.inference.runtimes.engine_cache import EngineCache
from yolact_ros.inference.runtimes.precision import choose_precision, native_floats
from yolact_ros.inference.runtimes.quantized import QuantizedEngine
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["DeviceMemoryError", "Runtime"]


class DeviceMemoryError(RuntimeUnavailableError):
    """The device ran out of memory; a smaller network input may still fit."""


class Runtime(ABC):
    """Runs one network at one input size. Not thread-safe.

    Args:
        model: the network; put into eval mode and onto the device where it is used as it is.
        device: where it runs.
        precision: ``fp32``, ``bf16``, ``fp16``, ``int8``, or ``auto``, the runtime's own choice.
        cache_folder: keeps compiled and converted networks; None makes them every time.
        calibration_folder: images that int8 measures the range of activations on; None takes the
            int8 network that was made before.
        reason: why this runtime was chosen or fallen back to, for people.

    Raises:
        DependencyError: the runtime's package is not installed.
        RuntimeUnavailableError: no such device or precision here, int8 without images and not
            made before, or the network cannot be converted or compiled.

    Attributes:
        name: as in the parameter ``runtime``.
        max_batch: most images in one :meth:`run`.
        quantized: the int8 network in the cache; None in other precisions.
    """

    name: ClassVar[str]
    max_batch: int = 1
    quantized: QuantizedEngine | None = None

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device,
        precision: str = "auto",
        cache_folder: Path | None = None,
        calibration_folder: str | os.PathLike[str] | None = None,
        reason: str = "",
    ) -> None:
        self.shape = model.config.input_shape
        self.device = device
        self.precision = choose_precision(
            precision, runtime=self.name, device=device, offered=self._precisions()
        )
        self.reason = reason
        self._cache_folder = cache_folder
        self._calibration_folder = calibration_folder
        self._cache = EngineCache(cache_folder)
        self._network: Any = self._open(model)

    def _precisions(self) -> Sequence[str]:
        """What the runtime offers on the device; ``auto`` is the first.

        Raises:
            RuntimeUnavailableError: it does not run on the device.
        """
        return native_floats(self.device)

    @abstractmethod
    def _open(self, model: Network) -> Any:
        """What :meth:`_run` runs; not None."""

    @property
    def input_size_px(self) -> int:
        """Longer side of the largest input."""
        return max(self.shape.height_px, self.shape.width_px)

    def run(self, images: Tensor) -> NetworkOutput:
        """Run the network.

        Args:
            images (Tensor[B, 3, h, w]): float32, normalised RGB, on the runtime's device; B is at
                most :attr:`max_batch`.

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
        if count > self.max_batch:
            raise ImageError(
                f"the network input has {count} images, the runtime {self.name} takes "
                f"1..{self.max_batch}"
            )
        if self._network is None:
            raise RuntimeUnavailableError(f"the runtime {self.name} is closed; open a new one")
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

    def close(self) -> None:
        """Free what the runtime holds; it cannot run afterwards. Calling it again does nothing."""
        self._network = None
        self._cache.close()

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
