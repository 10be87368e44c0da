"""A tiny network in an ONNX file with the inputs, outputs and metadata of a YOLO-seg export.

It finds red and blue: every cell of 8 pixels gives a box that grows with red and green, a
probability for "red" and one for "blue", and two coefficients for prototypes of the same colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = [
    "CELL_PX",
    "IMAGES_PX",
    "KINDS",
    "METADATA",
    "NAMES",
    "NUM_PROTOTYPES",
    "coloured_image",
    "write_yolo_onnx",
]

CELL_PX = 8
NAMES = ("red", "blue")
NUM_PROTOTYPES = 2
METADATA = {
    "description": "Ultralytics YOLO11n-seg model",
    "author": "Ultralytics",
    "version": "8.4.190",
    "stride": "32",
    "task": "segment",
    "batch": "1",
    "names": "{0: 'red', 1: 'blue'}",
    "channels": "3",
}

# Arguments of write_yolo_onnx, and heights and widths of images, that results are recorded for.
KINDS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {"size_px": (64, 64)},
    "rectangular": {"size_px": (64, 96)},
    "free": {"size_px": None},
    "rows": {"size_px": (64, 64), "rows": True},
    "half": {"size_px": (64, 64), "half": True},
}
IMAGES_PX = ((48, 64), (64, 48), (37, 90), (100, 100), (61, 83))

# Colours r, g, b of a cell and a constant 1 to: width, height, logits of red and blue, and
# coefficients. Applied as a 1 x 1 convolution.
WEIGHTS = (
    ((40, 0, 0), 12),
    ((0, 40, 0), 12),
    ((14, -4, -9), -4),
    ((-9, -4, 14), -4),
    ((9, 0, -3), 1),
    ((-3, 0, 9), 1),
)


def write_yolo_onnx(
    path: Path,
    size_px: tuple[int, int] | None = (64, 64),
    *,
    rows: bool = False,
    half: bool = False,
    metadata: Mapping[str, str | None] | None = None,
    opset: int = 17,
) -> Path:
    """Write the network.

    Args:
        path: of the file.
        size_px: height and width of the input; None leaves both free.
        rows: finished rows in the place of boxes before NMS.
        half: float16.
        metadata: changes to that of an export; None leaves an entry out.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: object, of: type = dtype) -> str:
        constants.append(numpy_helper.from_array(np.array(values, of), name))
        return name

    def pool(side: int, name: str) -> onnx.NodeProto:
        window = [side, side]
        return helper.make_node(
            "AveragePool", ["images"], [name], kernel_shape=window, strides=window
        )

    kernel = constant("kernel", [[[[w]] for w in weights] for weights, _ in WEIGHTS])
    bias = constant("bias", [offset for _, offset in WEIGHTS])
    proto_kernel = constant("proto_kernel", [[[[1]], [[0]], [[0]]], [[[0]], [[0]], [[1]]]])
    proto_bias = constant("proto_bias", [-0.4, -0.4])
    nodes = [
        pool(CELL_PX, "cells"),
        helper.make_node("Conv", ["cells", kernel, bias], ["values"]),
        helper.make_node(
            "Split", ["values", constant("parts", [2, 2, 2], np.int64)],
            ["sizes", "logits", "coefficients"], axis=1,
        ),
        # Centres by counting the cells, so that any input size will do.
        helper.make_node("Slice", ["cells", constant("zero", [0], np.int64),
                                   constant("one", [1], np.int64), "one"], ["red"]),
        helper.make_node("Mul", ["red", constant("nothing", 0)], ["zeros"]),
        helper.make_node("Add", ["zeros", constant("unit", 1)], ["ones"]),
        helper.make_node("CumSum", ["ones", constant("axis_x", 3, np.int64)], ["columns"]),
        helper.make_node("CumSum", ["ones", constant("axis_y", 2, np.int64)], ["rows"]),
        helper.make_node("Concat", ["columns", "rows"], ["indices"], axis=1),
        helper.make_node("Sub", ["indices", constant("half", 0.5)], ["middles"]),
        helper.make_node("Mul", ["middles", constant("cell_px", CELL_PX)], ["centers"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        pool(4, "fine"),
        helper.make_node("Conv", ["fine", proto_kernel, proto_bias], ["output1"]),
    ]  # fmt: skip
    parts = ["centers", "sizes", "scores", "coefficients"]
    if rows:
        nodes += [
            helper.make_node("Mul", ["sizes", "half"], ["reach"]),
            helper.make_node("Sub", ["centers", "reach"], ["first"]),
            helper.make_node("Add", ["centers", "reach"], ["second"]),
            helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1]),
            helper.make_node("ArgMax", ["scores"], ["winner"], axis=1),
            helper.make_node("Cast", ["winner"], ["class_id"], to=kind),
        ]
        parts = ["first", "second", "best", "class_id", "coefficients"]
    nodes += [
        helper.make_node("Concat", parts, ["grid"], axis=1),
        helper.make_node(
            "Reshape", ["grid", constant("flat", [1, 8, -1], np.int64)],
            ["by_value" if rows else "output0"],
        ),
    ]  # fmt: skip
    if rows:
        nodes.append(helper.make_node("Transpose", ["by_value"], ["output0"], perm=[0, 2, 1]))
    height, width = size_px or ("height", "width")
    boxes: int | str = "boxes"
    if size_px is not None:
        boxes = size_px[0] // CELL_PX * (size_px[1] // CELL_PX)
    fine: Sequence[int | str] = (
        (size_px[0] // 4, size_px[1] // 4) if size_px else ("mask_height", "mask_width")
    )
    shape = [1, boxes, 8] if rows else [1, 8, boxes]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", kind, [1, 3, height, width])],
        [
            helper.make_tensor_value_info("output0", kind, shape),
            helper.make_tensor_value_info("output1", kind, [1, NUM_PROTOTYPES, *fine]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    entries = METADATA | {"imgsz": str(list(size_px or (64, 64))), "end2end": str(rows)}
    for key, value in (entries | dict(metadata or {})).items():
        if value is not None:
            entry = model.metadata_props.add()
            entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def coloured_image(height_px: int, width_px: int, seed: int = 0) -> np.ndarray:
    """Red, blue and other rectangles on grey, BGR."""
    random = np.random.default_rng(seed)
    image = np.full((height_px, width_px, 3), 70, np.uint8)
    colours = ((20, 60, 250), (250, 60, 20), (60, 200, 60), (240, 240, 240), (0, 0, 0))
    for colour in (colours[2:] + colours[:2]) * 2:
        y, x = random.integers(0, (height_px, width_px))
        height, width = random.integers(6, (height_px // 2 + 6, width_px // 2 + 6))
        image[y : y + height, x : x + width] = colour
    return image
