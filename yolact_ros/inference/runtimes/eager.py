"""torch as it is: the reference of every other runtime."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.inference.runtimes.precision import float_type, native_floats
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["EagerRuntime"]


class EagerRuntime(Runtime):
    """The network itself in fp32; a folded, channels-last copy in the other precisions.

    ``auto`` is fp32, which is exact; on CUDA up to TF32, which torch computes convolutions in
    unless ``torch.backends.cudnn.allow_tf32`` is off. Arguments and errors are those of the base
    class.
    """

    name = "eager"

    def _precisions(self) -> Sequence[str]:
        return ("fp32", *(name for name in native_floats(self.device) if name != "fp32"))

    def _open(self, model: Network) -> nn.Module:
        self.max_batch = model.max_batch
        if self.precision == "fp32":
            return model.eval().to(self.device)
        return prepare_network(model, device=self.device, dtype=float_type(self.precision))

    def _run(self, images: Tensor) -> NetworkOutput:
        return NetworkOutput(*self._network(images))
