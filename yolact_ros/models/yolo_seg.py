"""YOLO segmentation networks (v8 to 26) in ONNX files, as Ultralytics exports them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from yolact_ros.class_names import class_names_beside, find_class_names
from yolact_ros.config import DARKNET_NORMALIZATION, ImageNormalization, InputShape, NetworkConfig
from yolact_ros.dependencies import require
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.identify import unnamed
from yolact_ros.models.network import Network
from yolact_ros.models.onnx_file import OnnxFile, OnnxValue, read_onnx_file
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.yolo_decoder import YoloDecoder, YoloRowDecoder
from yolact_ros.structures import NetworkOutput

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["YoloSeg", "YoloSegConfig", "YoloSegFile", "read_yolo_seg"]

DEFAULT_STRIDE_PX = 32
BOX_VALUES = 4
ROW_VALUES = 6  # box, score, class
USUAL_ROWS = 300  # of exports whose axes are free, which do not say it
TAKEN = (
    "taken are segmentation networks of YOLO v8 to 26 with one image as input and the outputs "
    "[1, 4 + classes + k, boxes] or [1, rows, 6 + k], and prototypes [1, k, h, w]"
)


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
        _check_multiple(self.name, input_size_px, self.stride_px)
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

    Args:
        file: that it is in.
        config: of the network.
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
        """The ONNX file."""
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
        """Of boxes before NMS, or of rows after it."""
        return YoloRowDecoder(self.config.num_classes) if self.config.num_rows else YoloDecoder()

    def with_input_size(self, input_size_px: int) -> YoloSeg:
        """See the base class."""
        view = copy.copy(self)
        view.config = self.config.with_input_size(input_size_px)
        return view

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


@dataclass(frozen=True)
class YoloSegFile:
    """A file that holds such a network; has what a :class:`Checkpoint` has.

    Attributes:
        file: as it is.
        config: of the network.
        names_from: for people: where the class names are from.
        remarks: what the user should know, one sentence each.
    """

    file: OnnxFile
    config: YoloSegConfig
    names_from: str
    remarks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.file.path

    @property
    def num_weights(self) -> int:
        """Of the network."""
        return self.file.num_weights

    def build(self, *, num_prototypes: int = 0, input_size_px: int = 0) -> YoloSeg:
        """The network; arguments and errors as those of :meth:`Checkpoint.build`."""
        config = self.config
        if num_prototypes not in (0, config.num_prototypes):
            raise CheckpointError(
                f"{self.path} has {config.num_prototypes} prototypes, but num_prototypes is "
                f"{num_prototypes}: set num_prototypes to {config.num_prototypes}, "
                "or to 0 to take what the model has"
            )
        if input_size_px:
            config = config.with_input_size(input_size_px)
        network = YoloSeg(self.file, config)
        network.eval()
        return network


def read_yolo_seg(
    path: Path, *, class_names: Sequence[str] = (), input_size_px: int = 0
) -> YoloSegFile:
    """Find out what an ONNX file holds.

    Args:
        path: of the file.
        class_names: names, or one file of names, which go before those of the file. Files without
            any take those of a names file beside it, or ``class_0``, ``class_1``, ...
        input_size_px: longer side of the input where neither axes nor metadata say it.

    Raises:
        CheckpointError: no such file, or none of a network that is taken; the message says what
            was found.
        ConfigError: class names that cannot be used, or another number of them.
        DependencyError: onnx is not installed.
    """
    file = read_onnx_file(path)
    _check_task(file)
    image, detections, prototypes = _find_values(file)
    k = prototypes.shape[1] or 0
    own_names = _own_names(file)
    names = find_class_names(class_names)
    given = own_names is None and names is None
    names = class_names_beside(path) if given else names
    num_named = len(names.names) if names is not None else len(own_names or ())
    num_classes, num_rows = _classes(file, detections, k, num_named)
    remarks: list[str] = []
    if names is not None:
        names.check_count(num_classes, str(path))
        chosen, names_from = names.names, names.source
    elif own_names is not None:
        chosen, names_from = own_names, "the file itself"
    else:
        chosen, names_from = unnamed(num_classes), "nowhere"
        remarks.append(
            f"{path} brings no class names, so they are {chosen[0]}"
            f"{f' to {chosen[-1]}' if num_classes > 1 else ''}: name them with class_names "
            f"(--class-names), or in {path.with_suffix('.txt').name} beside it, one a line"
        )
    stride_px = _stride(file)
    height_px, width_px = _input_size(file, image, input_size_px)
    try:
        config = YoloSegConfig(
            name=path.stem,
            input_size_px=max(height_px, width_px),
            input_height_px=height_px,
            input_width_px=width_px,
            class_names=chosen,
            num_prototypes=k,
            stride_px=stride_px,
            has_free_axes=None in image.shape[2:],
            num_rows=num_rows,
            precision="fp16" if image.dtype == "float16" else "fp32",
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return YoloSegFile(file, config, names_from, tuple(remarks))


def _check_task(file: OnnxFile) -> None:
    task = file.metadata.get("task", "segment")
    if task != "segment":
        raise CheckpointError(
            f"{file.path} is a YOLO network for the task {task!r}, which gives no masks; export "
            "one for 'segment', such as yolo11n-seg"
        )


def _find_values(file: OnnxFile) -> tuple[OnnxValue, OnnxValue, OnnxValue]:
    """The image, the detections and the prototypes."""
    flat = [output for output in file.outputs if len(output.shape) == 3]
    maps = [output for output in file.outputs if len(output.shape) == 4]
    if len(file.outputs) == 1 and flat:
        raise _not_taken(file, "it detects boxes only and has no prototypes")
    if len(file.outputs) > 2 or len(flat) != 1 or len(maps) != 1:
        raise _not_taken(file, "its outputs are others")
    if len(file.inputs) != 1 or len(file.inputs[0].shape) != 4:
        raise _not_taken(file, "its inputs are others")
    image = file.inputs[0]
    if image.shape[1] not in (3, None) or image.shape[0] not in (1, None):
        raise _not_taken(file, "its input is no single image with three colours")
    if image.dtype not in ("float32", "float16"):
        raise _not_taken(file, f"its input is of {image.dtype}")
    if maps[0].shape[1] is None:
        raise _not_taken(file, "the number of its prototypes is free")
    return image, flat[0], maps[0]


def _not_taken(file: OnnxFile, reason: str) -> CheckpointError:
    inputs, outputs = (", ".join(map(str, values)) for values in (file.inputs, file.outputs))
    return CheckpointError(
        f"{file.path} is no network that can be used: {reason} (inputs {inputs}; outputs "
        f"{outputs}); {TAKEN}"
    )


def _classes(file: OnnxFile, detections: OnnxValue, k: int, num_named: int) -> tuple[int, int]:
    """The number of classes, and of finished rows; 0 where the output is that before NMS."""
    _, first, second = detections.shape
    by_value = first - BOX_VALUES - k if first is not None else 0
    if num_named and by_value == num_named:
        return by_value, 0
    if second == ROW_VALUES + k:
        if not num_named:
            raise CheckpointError(
                f"{file.path} gives finished rows and no class names, so nothing says how many "
                "classes there are; name them with class_names (--class-names)"
            )
        return num_named, first or USUAL_ROWS
    if by_value < 1:
        raise _not_taken(file, f"its output has not 4 + classes + {k} values")
    return by_value, 0


def _own_names(file: OnnxFile) -> tuple[str, ...] | None:
    text = file.metadata.get("names")
    if text is None:
        return None
    try:
        value = ast.literal_eval(text)
        if isinstance(value, Mapping):
            value = [value[index] for index in range(len(value))]
        return tuple(str(name) for name in value)
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise CheckpointError(
            f"{file.path}: its class names cannot be read ({text[:60]!r}); give them with "
            "class_names (--class-names)"
        ) from error


def _stride(file: OnnxFile) -> int:
    text = file.metadata.get("stride", "")
    return int(text) if text.isdigit() and int(text) > 0 else DEFAULT_STRIDE_PX


def _input_size(file: OnnxFile, image: OnnxValue, input_size_px: int) -> tuple[int, int]:
    """Height and width of the input; the largest where an axis is free."""
    height_px, width_px = image.shape[2:]
    if height_px is not None and width_px is not None:
        return height_px, width_px
    if height_px is not None or width_px is not None:
        raise _not_taken(file, "one side of its input is free and the other is not")
    if input_size_px == 0:
        input_size_px = _largest_side(file.metadata.get("imgsz", ""))
    if input_size_px == 0:
        raise CheckpointError(
            f"{file.path} does not say its input size; give it with input_size (--input-size)"
        )
    _check_multiple(file.path.stem, input_size_px, _stride(file))
    return input_size_px, input_size_px


def _largest_side(text: str) -> int:
    """Of the metadata's ``[height, width]``; 0 where it says nothing."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return 0
    sides = value if isinstance(value, list | tuple) else [value]
    return max((side for side in sides if type(side) is int), default=0)


def _num_boxes(side_px: int, stride_px: int) -> int:
    """Of the grids for a square input: their cells double from 8 pixels to the stride."""
    cells_px = [2**n for n in range(3, stride_px.bit_length()) if 2**n <= stride_px]
    return sum((side_px // cell_px) ** 2 for cell_px in cells_px)


def _check_multiple(name: str, input_size_px: int, stride_px: int) -> None:
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
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: ONNX Runtime cannot load it ({reason}); export it again with opset=17"
        ) from error
