"""What an ONNX file with a YOLO segmentation network says of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolact_ros.class_names import class_names_beside, find_class_names
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.identify import adapt_config, unnamed
from yolact_ros.models.onnx_file import OnnxFile, OnnxValue, read_onnx_file
from yolact_ros.models.yolo_seg import (
    BOX_VALUES,
    DEFAULT_STRIDE_PX,
    YoloSeg,
    YoloSegConfig,
    check_multiple,
)

__all__ = ["YoloSegFile", "read_yolo_seg"]

ROW_VALUES = 6  # box, score, class
USUAL_ROWS = 300  # of exports whose axes are free, which do not say it
TAKEN = (
    "taken are segmentation networks of YOLO v8 to 26 with one image as input and the outputs "
    "[1, 4 + classes + k, boxes] or [1, rows, 6 + k], and prototypes [1, k, h, w]"
)


@dataclass(frozen=True)
class YoloSegFile:
    """A file that holds such a network; has what a :class:`Checkpoint` has.

    Attributes:
        names_from: for people: where the class names are from.
        remarks: what the user should know, one sentence each.
    """

    file: OnnxFile
    config: YoloSegConfig
    names_from: str
    remarks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def num_weights(self) -> int:
        return self.file.num_weights

    def build(self, *, num_prototypes: int = 0, input_size_px: int = 0) -> YoloSeg:
        """The network; arguments and errors as those of :meth:`Checkpoint.build`."""
        config = adapt_config(self.path, self.config, num_prototypes, input_size_px)
        network = YoloSeg(self.file, config)
        network.eval()
        return network


def read_yolo_seg(
    path: Path, *, class_names: Sequence[str] = (), input_size_px: int = 0
) -> YoloSegFile:
    """Find out what an ONNX file holds.

    Args:
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
    check_multiple(file.path.stem, input_size_px, _stride(file))
    return input_size_px, input_size_px


def _largest_side(text: str) -> int:
    """Of the metadata's ``[height, width]``; 0 where it says nothing."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return 0
    sides = value if isinstance(value, list | tuple) else [value]
    return max((side for side in sides if type(side) is int), default=0)
