"""Runtimes: eager torch, compiled torch, CUDA graph, OpenVINO, ncnn and ONNX Runtime.

:func:`yolact_ros.inference.runtimes.selection.open_runtime` opens one by name.
"""
