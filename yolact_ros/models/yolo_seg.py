"""YOLO segmentation networks (v8 to 26) in ONNX files, as Ultralytics exports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from yolact_ros.config import DARKNET_NORMALIZATION, ImageNormalization, InputShape, NetworkConfig
from yolact_ros.dependencies import require
from yolact_ros.errors import CheckpointError, ConfigError, first_line
from yolact_ros.models.network import Network
from yolact_ros.models.onnx_file import OnnxFile
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.yolo_decoder import YoloDecoder, YoloRowDecoder
from yolact_ros.structures import NetworkOutput

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["BOX_VALUES", "DEFAULT_STRIDE_PX", "YoloSeg", "YoloSegConfig", "check_multiple"]

DEFAULT_STRIDE_PX = 32
BOX_VALUES = 4


@dataclass(frozen=True, kw_only=True)
class YoloSegConfig(NetworkConfig):
    """What an ONNX file with a YOLO segmentation network says of it.

    Attributes:
        input_height_px, input_width_px: of the input; the largest where axes are free.
        stride_px: of the coarsest grid; sides of the input are multiples of it.
        has_free_axes: whether other input sizes than these are possible (``dynamic=True``).
        num_rows: finished detections, which need no NMS; 0 where the outputs are those before it.
        precision: of the inputs and outputs, ``fp32`` or ``fp16``.
    """

    family: ClassVar[str] = "yolo-seg"
    keeps_aspect_ratio: ClassVar[bool] = True
    crops_masks_in_image: ClassVar[bool] = True

    normalization: ImageNormalization = DARKNET_NORMALIZATION
    input_height_px: int
    input_width_px: int
    stride_px: int = DEFAULT_STRIDE_PX
    has_free_axes: bool = False
    num_rows: int = 0
    precision: str = "fp32"

    @property
    def input_shape(self) -> InputShape:
        """With free axes an image takes the smallest input that shows it.

        And that has as many boxes as there are rows, since the best ones are taken of them.
        """
        size_px = (self.input_height_px, self.input_width_px)
        if not self.has_free_axes:
            return InputShape(*size_px)
        least_px = self.stride_px
        while _num_boxes(least_px, self.stride_px) < self.num_rows:
            least_px += self.stride_px
        return InputShape(*size_px, self.stride_px, least_px)

    def with_input_size(self, input_size_px: int) -> Self:
        """The same network for inputs whose longer side is this one.

        Raises:
            ConfigError: the file has another size and its axes are fixed, the size is no multiple
                of the stride, or it is out of range.
        """
        if input_size_px == self.input_size_px:
            return self
        if not self.has_free_axes:
            raise ConfigError(
                f"input_size is {input_size_px}, but {self.name} is exported for "
                f"{self.input_width_px}x{self.input_height_px} only; set input_size to 0, or "
                "export it with dynamic=True"
            )
        check_multiple(self.name, input_size_px, self.stride_px)
        resized = replace(
            self,
            input_size_px=input_size_px,
            input_height_px=input_size_px,
            input_width_px=input_size_px,
        )
        least_px = resized.input_shape.least_px
        if input_size_px < least_px:
            raise ConfigError(
                f"input_size is {input_size_px}, but {self.name} gives the best {self.num_rows} "
                f"boxes and has as many from {least_px} on; set input_size to {least_px} or more"
            )
        return resized


class YoloSeg(Network):
    """A YOLO segmentation network that stays in its ONNX file.

    OpenVINO and ONNX Runtime run the file itself; :meth:`forward` does through ONNX Runtime, in
    the file's precision.
    """

    is_torch = False
    max_batch = 1
    config: YoloSegConfig
    digest: Tensor

    def __init__(self, file: OnnxFile, config: YoloSegConfig) -> None:
        super().__init__()
        self.file = file
        self.config = config
        # Stands for the weights where networks are told apart by their state.
        self.register_buffer("digest", torch.from_numpy(np.frombuffer(file.digest(), "u1").copy()))
        self._session: Any = None

    @property
    def path(self) -> Path:
        return self.file.path

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class; one image at a time."""
        if self._session is None:
            self._session = _open_session(self.path)
        value = self.file.inputs[0]
        pixels = images.cpu().numpy().astype(value.dtype)
        results = self._session.run(None, {value.name: pixels})
        return self.name_outputs([torch.from_numpy(result) for result in results], images)

    @property
    def decoder(self) -> OutputDecoder:
        return YoloRowDecoder(self.config.num_classes) if self.config.num_rows else YoloDecoder()

    def name_outputs(self, outputs: Sequence[Tensor], images: Tensor) -> NetworkOutput:
        """See the base class; boxes become relative to the input, the rest stays in its memory."""
        detections, prototypes = sorted(outputs, key=lambda output: output.dim())
        height_px, width_px = images.shape[2:]
        size_px = torch.tensor((width_px, height_px) * 2, device=detections.device)
        k = self.config.num_prototypes
        if not self.config.num_rows:
            detections = detections.transpose(1, 2)
        last = detections.shape[2] - k
        return NetworkOutput(
            box_offsets=detections[:, :, :BOX_VALUES] / size_px,
            class_logits=detections[:, :, BOX_VALUES:last],
            coefficients=detections[:, :, last:],
            prototypes=prototypes.permute(0, 2, 3, 1),
        )


def _num_boxes(side_px: int, stride_px: int) -> int:
    """Of the grids for a square input: their cells double from 8 pixels to the stride."""
    cells_px = [2**n for n in range(3, stride_px.bit_length()) if 2**n <= stride_px]
    return sum((side_px // cell_px) ** 2 for cell_px in cells_px)


def check_multiple(name: str, input_size_px: int, stride_px: int) -> None:
    """Raise ConfigError where an input size is no multiple of the stride."""
    if input_size_px % stride_px:
        below = input_size_px // stride_px * stride_px
        raise ConfigError(
            f"input_size is {input_size_px}, expected a multiple of {name}'s stride {stride_px}, "
            f"such as {below or stride_px} or {below + stride_px}"
        )


def _open_session(path: Path) -> Any:
    onnxruntime = require("onnxruntime", extra="onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds
        raise CheckpointError(
            f"{path}: ONNX Runtime cannot load it ({first_line(error)}); export it again with "
            "opset=17"
        ) from error
