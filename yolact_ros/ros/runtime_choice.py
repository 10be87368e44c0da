"""Which runtime the node opens: as named, or for ``auto`` eager now and the fastest later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from yolact_ros.inference.fair_lock import FairLock
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.preparation import prepare_apart
from yolact_ros.inference.runtimes.selection import (
    choose_runtime,
    default_engine_folder,
    open_eager,
    open_runtime,
    remembered_choice,
)
from yolact_ros.models.network import Network
from yolact_ros.ros.parameters import FixedParameters

__all__ = ["ChoiceCancelledError", "RuntimeChoice"]


class ChoiceCancelledError(Exception):
    """The node is cleaned up, so nobody waits for the fastest runtime any more."""


class RuntimeChoice:
    """Opens runtimes for one model on one device.

    ``auto`` takes what was the fastest when it was measured. Where nothing was measured yet,
    :meth:`open` gives eager, which starts at once, and :meth:`open_fastest` measures beside it.

    Attributes:
        lock: held by whoever works on an image, so that measured runs come in between.
    """

    def __init__(self, fixed: FixedParameters, path: Path, device: torch.device) -> None:
        self._fixed = fixed
        self._path = path
        self._device = device
        self._cancelled = threading.Event()
        self.lock = FairLock()

    def is_final(self, network: Network) -> bool:
        """Whether :meth:`open` gives what :meth:`open_fastest` would."""
        # int8 has one runtime only, and eager is none that could stand in for it. What stays in
        # its file needs no conversion or compilation that another runtime would have to stand in.
        named = self._fixed.runtime != "auto" or self._fixed.precision == "int8"
        if named or not network.is_torch:
            return True
        remembered = remembered_choice(
            network,
            device=self._device,
            precision=self._fixed.precision,
            cache_folder=default_engine_folder(),
        )
        return bool(remembered)

    def open(self, network: Network) -> Runtime:
        """What can run the network at once, or as named.

        Raises:
            YolactError: it cannot be had; the message says why.
        """
        if not self.is_final(network):
            return open_eager(network, device=self._device, precision=self._fixed.precision)
        return open_runtime(
            self._fixed.runtime,
            network,
            device=self._device,
            precision=self._fixed.precision,
            cache_folder=default_engine_folder(),
            calibration_folder=self._fixed.calibration_folder or None,
        )

    def open_fastest(self, network: Network) -> Runtime:
        """What will run the network from now on; seconds to minutes, beside a running one.

        Raises:
            YolactError: it cannot be had; the message says why.
            ChoiceCancelledError: :meth:`cancel` was called.
        """
        if self.is_final(network):
            return self.open(network)
        return choose_runtime(
            network,
            device=self._device,
            precision=self._fixed.precision,
            cache_folder=default_engine_folder(),
            turn=self._turn,
            prepare=lambda: self._prepare(network.config.input_size_px),
        )

    def cancel(self) -> None:
        """Let :meth:`open_fastest` end soon, now and from now on."""
        self._cancelled.set()

    def _prepare(self, input_size_px: int) -> dict[str, str]:
        if self._device.type != "cpu":
            return {}  # what is compiled for a GPU cannot be kept in a file
        unavailable = prepare_apart(
            self._path,
            input_size_px=input_size_px,
            precision=self._fixed.precision,
            cache_folder=default_engine_folder(),
            cancelled=self._cancelled,
        )
        self._go_on()
        return unavailable

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._go_on()
        with self.lock:
            yield

    def _go_on(self) -> None:
        if self._cancelled.is_set():
            raise ChoiceCancelledError
