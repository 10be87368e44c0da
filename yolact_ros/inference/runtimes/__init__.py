"""Runtimes: eager torch, compiled torch, CUDA graph, OpenVINO and ONNX Runtime."""

from __future__ import annotations

from yolact_ros.inference.runtimes.base import DeviceMemoryError, Runtime
from yolact_ros.inference.runtimes.precision import PRECISIONS
from yolact_ros.inference.runtimes.selection import RUNTIMES, default_engine_folder, open_runtime

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "DeviceMemoryError",
    "Runtime",
    "default_engine_folder",
    "open_runtime",
]
