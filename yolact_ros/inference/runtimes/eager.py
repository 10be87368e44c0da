"""torch as it is: the reference of every other runtime."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.inference.runtimes.precision import choose_precision, float_type, native_floats
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["EagerRuntime"]


class EagerRuntime(Runtime):
    """The network itself in fp32; a folded, channels-last copy in the other precisions.

    Args:
        model: the network; in fp32 it is used as it is, put into eval mode and onto the device.
        device: where it runs.
        precision: ``auto`` is fp32, which is exact.
        reason: why this runtime.

    Raises:
        RuntimeUnavailableError: the device lacks the precision.
    """

    name = "eager"

    def __init__(
        self, model: Network, *, device: torch.device, precision: str = "auto", reason: str = ""
    ) -> None:
        precision = choose_precision(
            precision,
            runtime=self.name,
            device=device,
            offered=native_floats(device),
            default="fp32",
        )
        super().__init__(
            shape=model.config.input_shape,
            device=device,
            precision=precision,
            reason=reason,
        )
        self.max_batch = model.max_batch
        self._network: nn.Module | None
        if precision == "fp32":
            self._network = model.eval().to(device)
        else:
            self._network = prepare_network(model, device=device, dtype=float_type(precision))

    def _run(self, images: Tensor) -> NetworkOutput:
        if self._network is None:
            raise self._closed()
        output = self._network(images)
        return output if isinstance(output, NetworkOutput) else InferenceNetwork.output(output)

    def close(self) -> None:
        """Let go of the network."""
        self._network = None
