"""What a network of any family must provide."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from yolact_ros.config import NetworkConfig
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.structures import NetworkOutput

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Network"]


class Network(nn.Module, ABC):
    """A network with prototypes: pixels in, boxes, classes, coefficients and prototypes out.

    Everything around it is shared by all families: preprocessing and the place of the image in the
    input (by ``config``), runtimes, NMS, masks, budget.

    Attributes:
        parts: the first words of the keys of its state dict.
        is_torch: whether its layers are torch's, so that it can be converted and compiled; else
            it stays in its file, which some runtimes run as it is.
        max_batch: most images in one :meth:`forward`.
    """

    parts: ClassVar[frozenset[str]] = frozenset()
    is_torch: ClassVar[bool] = True
    max_batch: ClassVar[int] = 16
    config: NetworkConfig

    @abstractmethod
    def forward(self, images: Tensor) -> NetworkOutput:
        """Normalised RGB images ``[B, 3, h, w]`` to an output that :attr:`decoder` reads."""

    @property
    @abstractmethod
    def decoder(self) -> OutputDecoder:
        """Reads the output; holds no weights, so it can outlive the network."""

    def with_input_size(self, input_size_px: int) -> Self:
        """A view of this network for another input size: same weights, own config.

        Whatever changes the weights or the mode (``train``, ``eval``, ``to``) of one view changes
        the layers of all.

        Raises:
            ConfigError: the size is outside 64..2048.
        """
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        return view

    def name_outputs(self, outputs: Sequence[Tensor], images: Tensor) -> NetworkOutput:
        """What a runtime that runs a converted network or its file gives, by name.

        Args:
            outputs: in the order of the file; of networks that this package converts box offsets,
                class logits, coefficients and prototypes.
            images (Tensor[B, 3, h, w]): that they are of.
        """
        del images
        return NetworkOutput(*outputs)

    @property
    def mask_rescoring(self) -> Callable[[Tensor], Tensor] | None:
        """YOLACT++'s mask re-scoring network, or None where the network has none."""
        return None

    def drop_training_parts(self) -> None:
        """Remove the layers that :meth:`forward` does not use in eval mode."""
