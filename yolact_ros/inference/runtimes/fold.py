"""Networks made ready for inference: batch norms folded, one precision, channels last."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.models.backbones.resnet import DeformableConv2d
from yolact_ros.models.network import Network

__all__ = ["InferenceNetwork", "fold_batch_norms", "prepare_network"]


class InferenceNetwork(nn.Module):
    """A network that takes and returns float32 whatever it computes in.

    Returns a plain tuple, since exports know no named ones: box offsets, class logits,
    coefficients, prototypes.
    """

    def __init__(
        self, network: Network, dtype: torch.dtype, memory_format: torch.memory_format
    ) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype
        self._memory_format = memory_format

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``float32[B, 3, S, S]`` to the four outputs of the network in float32."""
        output = self.network(images.to(self._dtype, memory_format=self._memory_format))
        offsets, logits, coefficients, prototypes = (tensor.float() for tensor in output[:4])
        return offsets, logits, coefficients, prototypes


def fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place; for eval mode only.

    Finds a norm directly after a convolution in a sequence, and ``bn1`` beside ``conv1`` and so
    on. What was folded becomes an identity.
    """
    for parent in list(network.modules()):
        names = list(parent._modules)
        pairs = (
            list(itertools.pairwise(names))
            if isinstance(parent, nn.Sequential)
            else [(name, name.replace("conv", "bn", 1)) for name in names]
        )
        for convolution_name, norm_name in pairs:
            convolution = parent._modules[convolution_name]
            norm = parent._modules.get(norm_name)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent._modules[convolution_name] = fuse_conv_bn_eval(convolution, norm)
                parent._modules[norm_name] = nn.Identity()


def prepare_network(
    model: Network,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    for_export: bool = False,
) -> InferenceNetwork:
    """A copy of a network for inference only; the original stays as it is.

    Args:
        for_export: only torch's own operators, in their usual memory format; else channels last,
            which half precisions are fast in.

    Raises:
        RuntimeUnavailableError: the network is not torch's.
    """
    if not model.is_torch:
        raise RuntimeUnavailableError(
            f"{model.config.name} is an ONNX file, which cannot be converted; set runtime to "
            "openvino, onnxruntime or auto (eager runs it in fp32)"
        )
    network = copy.deepcopy(model).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    fold_batch_norms(network)
    network.drop_training_parts()
    for module in network.modules():
        if for_export and isinstance(module, DeformableConv2d):
            module.use_torchvision = False
    memory_format = torch.contiguous_format if for_export else torch.channels_last
    network = network.to(device=device, dtype=dtype)
    network = network.to(memory_format=memory_format)  # type: ignore[call-overload]
    return InferenceNetwork(network, dtype, memory_format).eval()
