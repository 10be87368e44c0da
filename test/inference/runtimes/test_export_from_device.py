"""Exports of a model that is on another device than the CPU, which files are written from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from devices import DEVICES
from torch import Tensor

from yolact_ros.inference.runtimes.onnx_export import (
    ExportedNms,
    export_detector,
    export_network,
    largest_differences,
)
from yolact_ros.models import Yolact

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("with_nms", [False, True])
def test_a_model_is_exported_from_any_device_and_stays_there(
    light: Yolact, images: Tensor, tmp_path: Path, with_nms: bool, device: torch.device
) -> None:
    model = copy.deepcopy(light).to(device)
    file = tmp_path / "file.onnx"
    nms = ExportedNms(score_threshold=0.05, iou_threshold=0.5, max_detections=10)
    module = export_detector(model, file, nms) if with_nms else export_network(model, file)
    assert max(largest_differences(file, module, images).values()) < 1e-3
    assert model.priors.device.type == device.type
