"""A CUDA graph: all kernels of the network launched at once, into buffers that never move."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.cuda_graph import capture_graph
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.compiled import compile_for_cuda
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.inference.runtimes.precision import (
    choose_precision,
    fastest_float,
    float_type,
    native_floats,
)
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["GraphRuntime"]

_logger = logging.getLogger(__name__)


class GraphRuntime(Runtime):
    """The compiled network, or the prepared one where the compiler fails, as one CUDA graph.

    A network of a hundred small kernels at batch 1 is bound by their launches; a graph has one.
    Input and outputs are static buffers, and nothing in :meth:`run` waits for the device.

    Args:
        model: the network.
        device: must be CUDA.
        precision: ``auto`` is the fastest float that the device has.
        reason: why this runtime.

    Raises:
        RuntimeUnavailableError: not a CUDA device, no such precision there, or the graph cannot
            be captured.
    """

    name = "graph"

    def __init__(
        self, model: Network, *, device: torch.device, precision: str = "auto", reason: str = ""
    ) -> None:
        if device.type != "cuda":
            raise RuntimeUnavailableError(
                f"the runtime graph needs a CUDA device, the device is {device}; set runtime to "
                "openvino or compiled, or device to cuda"
            )
        precision = choose_precision(
            precision,
            runtime=self.name,
            device=device,
            offered=native_floats(device),
            default=fastest_float(device),
        )
        super().__init__(
            shape=model.config.input_shape,
            device=device,
            precision=precision,
            reason=reason,
        )
        network: Callable[[Tensor], tuple[Tensor, ...]]
        network = prepared = prepare_network(model, device=device, dtype=float_type(precision))
        try:
            network = compile_for_cuda(prepared, self.input_size_px, device)
        except RuntimeUnavailableError as error:
            _logger.warning("capturing the network uncompiled: %s", error)
            self.reason = f"{reason}; uncompiled: {error}" if reason else f"uncompiled: {error}"
        side = self.input_size_px
        self._images = torch.zeros(1, 3, side, side, device=device)
        self._graph: torch.cuda.CUDAGraph | None
        try:
            with torch.no_grad():
                self._graph, self._outputs = capture_graph(
                    lambda: tuple(network(self._images)), device
                )
        except RuntimeUnavailableError as error:
            raise RuntimeUnavailableError(
                f"the network: {error}; set runtime to compiled or eager"
            ) from error

    def _run(self, images: Tensor) -> NetworkOutput:
        if self._graph is None:
            raise self._closed()
        self._images.copy_(images, non_blocking=True)
        self._graph.replay()
        return InferenceNetwork.output(self._outputs)

    def close(self) -> None:
        """Free the graph and its memory."""
        self._graph = None
        self._outputs = ()
