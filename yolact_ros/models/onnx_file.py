"""What an ONNX file says of itself: inputs, outputs, operators, metadata."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact_ros.dependencies import require
from yolact_ros.errors import CheckpointError, first_line

__all__ = ["ONNX_SUFFIX", "OnnxFile", "OnnxValue", "is_onnx", "read_onnx_file"]

ONNX_SUFFIX = ".onnx"
OLDEST_OPSET = 9
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_TYPES = {1: "float32", 10: "float16"}
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class OnnxValue:
    """An input or output.

    Attributes:
        dtype: ``float32``, ``float16``, or the number of another type in ONNX.
        shape: a side that is not fixed is None.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name}[{sides}]"


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file without its weights.

    Attributes:
        inputs, outputs: in the file's order.
        metadata: texts by name, as the exporter wrote them.
        num_weights: numbers in the file's weights.
    """

    path: Path
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    metadata: Mapping[str, str]
    num_weights: int

    def digest(self) -> bytes:
        """Hash of the file, and of weights that it keeps in a file beside it."""
        digest = hashlib.blake2b(digest_size=32)
        for path in (self.path, self.path.with_name(f"{self.path.name}.data")):
            if path.is_file():
                with path.open("rb") as stream:
                    while block := stream.read(_BLOCK_BYTES):
                        digest.update(block)
        return digest.digest()


def is_onnx(path: Path) -> bool:
    """Whether a file is to be read as ONNX: by its name, since the format has no mark."""
    return path.suffix.lower() == ONNX_SUFFIX


def read_onnx_file(path: Path) -> OnnxFile:
    """Read all but the weights.

    Raises:
        CheckpointError: no such file, no ONNX, or operators that no runtime here has.
        DependencyError: onnx is not installed.
    """
    onnx = require("onnx", extra="onnx")
    if not path.is_file():
        raise CheckpointError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise CheckpointError(
            f"{path} is no ONNX file or is damaged ({first_line(error)}); export or copy it again"
        ) from error
    if not model.graph.output or not model.opset_import:
        raise CheckpointError(f"{path} is no ONNX file: it has no network; export it again")
    _check_operators(path, model, newest_opset=onnx.defs.onnx_opset_version())
    weights = {weight.name for weight in model.graph.initializer}
    return OnnxFile(
        path,
        inputs=tuple(_value(one) for one in model.graph.input if one.name not in weights),
        outputs=tuple(_value(one) for one in model.graph.output),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        num_weights=sum(math.prod(weight.dims) for weight in model.graph.initializer),
    )


def _check_operators(path: Path, model: Any, *, newest_opset: int) -> None:
    for imported in model.opset_import:
        if imported.domain in ("", "ai.onnx") and not (
            OLDEST_OPSET <= imported.version <= newest_opset
        ):
            raise CheckpointError(
                f"{path} has the operators of ONNX opset {imported.version}, this computer those "
                f"of {OLDEST_OPSET} to {newest_opset}; export it with opset=17, or install newer "
                "packages"
            )
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in model.graph.node
            if node.domain not in STANDARD_DOMAINS
        }
    )
    if foreign:
        raise CheckpointError(
            f"{path} has operators of one runtime only ({', '.join(foreign)}), as exporters with "
            "NMS for TensorRT write them; export the network without NMS"
        )


def _value(value: Any) -> OnnxValue:
    tensor = value.type.tensor_type
    sides = tuple(side.dim_value or None for side in tensor.shape.dim)
    return OnnxValue(value.name, _TYPES.get(tensor.elem_type, f"type {tensor.elem_type}"), sides)
