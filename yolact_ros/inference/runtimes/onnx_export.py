"""ONNX files: the bare network, or the network with Fast NMS, checked with ONNX Runtime."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError, first_line
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.models.network import Network
from yolact_ros.ops.fixed_shape_nms import fixed_shape_fast_nms
from yolact_ros.structures import NetworkOutput

__all__ = [
    "DETECTION_OUTPUTS",
    "NETWORK_OUTPUTS",
    "OPSET",
    "ExportedNms",
    "NetworkWithNms",
    "export_detector",
    "export_network",
    "largest_differences",
]

OPSET = 18
INPUT_NAME = "images"
NETWORK_OUTPUTS = ("box_offsets", "class_logits", "coefficients", "prototypes")
DETECTION_OUTPUTS = (
    "boxes_xyxy",
    "scores",
    "class_ids",
    "detection_coefficients",
    "counts",
    "prototypes",
)


@dataclass(frozen=True)
class ExportedNms:
    """Settings of Fast NMS that are fixed in the file."""

    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    max_detections: int = 100


class NetworkWithNms(nn.Module):
    """Images to detections with fixed shapes.

    Masks are left to ``sigmoid(P C^T)`` afterwards, or what
    :func:`~yolact_ros.ops.masks.mask_logits` has instead of ``P C^T``.
    """

    def __init__(self, model: Network, settings: ExportedNms) -> None:
        super().__init__()
        self.network = _plain_network(model)
        self.settings = settings
        # Of the copy, which is on the CPU wherever the model is.
        self.decoder = self.network.network.decoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """``float32[B, 3, S, S]`` to what :data:`DETECTION_OUTPUTS` names."""
        output = NetworkOutput(*self.network(images))
        boxes_xyxy, scores = self.decoder.decode(output)
        found = fixed_shape_fast_nms(
            boxes_xyxy,
            scores,
            output.coefficients,
            score_threshold=self.settings.score_threshold,
            iou_threshold=self.settings.iou_threshold,
            max_detections=self.settings.max_detections,
        )
        return (
            found.boxes_xyxy,
            found.scores,
            found.class_ids,
            found.coefficients,
            found.counts,
            output.prototypes,
        )


def export_network(model: Network, path: str | os.PathLike[str]) -> nn.Module:
    """Write the network as one ONNX file with the outputs :data:`NETWORK_OUTPUTS`.

    Its input size is fixed in the file, which is overwritten. Returns the module that was
    exported, to compare with.

    Raises:
        DependencyError: onnx or onnxscript is not installed.
        RuntimeUnavailableError: the network cannot be exported.
    """
    return _export(_plain_network(model), model, path, NETWORK_OUTPUTS)


def export_detector(
    model: Network, path: str | os.PathLike[str], settings: ExportedNms
) -> nn.Module:
    """Write network, box decoding and Fast NMS as one ONNX file (:data:`DETECTION_OUTPUTS`).

    Arguments, result and errors as :func:`export_network`; ``settings`` are fixed in the file.
    """
    return _export(NetworkWithNms(model, settings).eval(), model, path, DETECTION_OUTPUTS)


@torch.inference_mode()
def largest_differences(
    path: str | os.PathLike[str], module: nn.Module, images: Tensor
) -> dict[str, float]:
    """Run a file in ONNX Runtime beside the module it was exported from.

    ``images [n, 3, S, S]`` are normalised, as the preprocessor makes them. For each output the
    largest absolute difference over all of them.

    Raises:
        DependencyError: onnxruntime is not installed.
    """
    onnxruntime = require("onnxruntime", extra="onnx")
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    largest = dict.fromkeys(names, 0.0)
    for image in images.split(1):
        expected = module(image)
        actual = session.run(names, {INPUT_NAME: image.numpy()})
        for name, ours, theirs in zip(names, expected, actual, strict=True):
            difference = np.abs(ours.numpy().astype(np.float64) - theirs)
            largest[name] = max(largest[name], float(difference.max(initial=0.0)))
    return largest


def _plain_network(model: Network) -> InferenceNetwork:
    return prepare_network(model, device=torch.device("cpu"), for_export=True)


def _export(
    module: nn.Module,
    model: Network,
    path: str | os.PathLike[str],
    output_names: tuple[str, ...],
) -> nn.Module:
    require("onnx", extra="onnx")
    opset = require("onnxscript", extra="onnx").opset18

    def stable_sort(
        values: Any, *, stable: bool = True, dim: int = -1, descending: bool = False
    ) -> Any:
        # torch's exporter knows no stable sort; ONNX breaks ties of TopK by the lower index.
        size = opset.Shape(values, start=dim, end=dim + 1)
        return opset.TopK(values, size, axis=dim, largest=int(descending), sorted=1)

    side = model.config.input_size_px
    try:
        with torch.no_grad():
            torch.onnx.export(
                module,
                (torch.zeros(1, 3, side, side),),
                path,
                input_names=[INPUT_NAME],
                output_names=list(output_names),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
                custom_translation_table={torch.ops.aten.sort.stable: stable_sort},
            )
    except Exception as error:  # the exporter raises many kinds
        raise RuntimeUnavailableError(
            f"{model.config.name} cannot be exported to ONNX ({first_line(error)}); use another "
            "runtime"
        ) from error
    return module
