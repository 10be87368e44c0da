"""Names of runtimes and precisions; without torch, for what only lists the choices."""

from __future__ import annotations

__all__ = ["PRECISIONS", "RUNTIMES"]

RUNTIMES = ("auto", "eager", "compiled", "graph", "openvino", "ncnn", "onnxruntime")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
