"""A CUDA graph: all kernels of the network launched at once, into buffers that never move."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.cuda_graph import capture_graph
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.compiled import compile_for_cuda
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.inference.runtimes.precision import float_type
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["GraphRuntime"]

_logger = logging.getLogger(__name__)


class GraphRuntime(Runtime):
    """The compiled network, or the prepared one where the compiler fails, as one CUDA graph.

    A network of a hundred small kernels at batch 1 is bound by their launches; a graph has one.
    Input and outputs are static buffers, and nothing in :meth:`run` waits for the device. ``auto``
    is the fastest float that the device has. Arguments and errors are those of the base class.
    """

    name = "graph"

    def _precisions(self) -> Sequence[str]:
        if self.device.type != "cuda":
            raise RuntimeUnavailableError(
                f"the runtime graph needs a CUDA device, the device is {self.device}; set runtime "
                "to openvino or compiled, or device to cuda"
            )
        return super()._precisions()

    def _open(self, model: Network) -> Callable[[Tensor], tuple[Tensor, ...]]:
        device, side = self.device, self.input_size_px
        network: Callable[[Tensor], tuple[Tensor, ...]]
        network = prepared = prepare_network(
            model, device=device, dtype=float_type(self.precision)
        )
        try:
            network = compile_for_cuda(prepared, side, device)
        except RuntimeUnavailableError as error:
            _logger.warning("capturing the network uncompiled: %s", error)
            self.reason = "; ".join(filter(None, (self.reason, f"uncompiled: {error}")))
        try:
            # As the network was compiled: the compiler makes another form for any other mode.
            with torch.inference_mode():
                buffer = torch.zeros(1, 3, side, side, device=device)
                captured = capture_graph(lambda: tuple(network(buffer)), device)
        except RuntimeUnavailableError as error:
            raise RuntimeUnavailableError(
                f"the network: {error}; set runtime to compiled or eager"
            ) from error

        def replay(images: Tensor) -> tuple[Tensor, ...]:
            buffer.copy_(images, non_blocking=True)
            captured.replay()
            return captured.result

        return replay

    def _run(self, images: Tensor) -> NetworkOutput:
        return NetworkOutput(*self._network(images))
