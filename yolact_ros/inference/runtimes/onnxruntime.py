"""ONNX Runtime: the network as an ONNX file, with TensorRT and CUDA where they are present."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError, YolactError, first_line
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.onnx_export import OPSET, export_network
from yolact_ros.inference.runtimes.precision import native_floats
from yolact_ros.models.network import Network
from yolact_ros.models.yolo_seg import YoloSeg
from yolact_ros.structures import NetworkOutput

__all__ = ["OnnxRuntime"]

MODEL_FILE = "network.onnx"
# Best first.
_PROVIDERS = {
    "cuda": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "cpu": ("CPUExecutionProvider",),
}


class OnnxRuntime(Runtime):
    """The network in ONNX Runtime, on the CPU or a CUDA device that the installed one supports.

    ``auto`` is fp32, or fp16 where TensorRT is present, which fp16 needs; TensorRT's engine is
    kept in the cache too. Arguments and errors are those of the base class.
    """

    name = "onnxruntime"

    def _precisions(self) -> Sequence[str]:
        onnxruntime = require("onnxruntime", extra="onnx")
        present = onnxruntime.get_available_providers()
        wanted = _PROVIDERS.get(self.device.type, ())
        self._providers = [name for name in wanted if name in present]
        if not self._providers:
            raise RuntimeUnavailableError(
                f"the installed onnxruntime has no provider for {self.device}, only "
                f"{', '.join(present)}; install onnxruntime-gpu or set device to cpu"
            )
        has_fp16 = "TensorrtExecutionProvider" in self._providers
        return ("fp16", "fp32") if has_fp16 and "fp16" in native_floats(self.device) else ("fp32",)

    def _open(self, model: Network) -> Any:
        onnxruntime = require("onnxruntime", extra="onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        settings = [self._provider_options(name) for name in self._providers]
        providers = list(zip(self._providers, settings, strict=True))

        def open_session(path: Path) -> Any:
            return onnxruntime.InferenceSession(path, options, providers=providers)

        if isinstance(model, YoloSeg):
            try:
                session = open_session(model.path)
            except Exception as error:  # onnxruntime's own kinds
                raise RuntimeUnavailableError(
                    f"ONNX Runtime cannot load {model.path} ({first_line(error)}); set runtime to "
                    "openvino, or export it again with opset=17"
                ) from error
        else:
            key = engine_key("onnx", model, f"opset {OPSET}")

            def build(folder: Path) -> None:
                export_network(model, folder / MODEL_FILE)

            session = self._cache.load(
                key, build, lambda folder: open_session(folder / MODEL_FILE)
            )
        self._name_outputs = model.name_outputs
        (image,) = session.get_inputs()
        self._input_name = image.name
        self._input_type = np.float16 if image.type == "tensor(float16)" else np.float32
        sides = [side for node in session.get_outputs() for side in node.shape]
        self._sizes_are_fixed = self._input_type == np.float32 and all(
            isinstance(side, int) for side in sides
        )
        return session

    def _provider_options(self, provider: str) -> dict[str, Any]:
        index = self.device.index or 0
        if provider == "CUDAExecutionProvider":
            return {"device_id": index, "use_tf32": 0 if self.precision == "fp32" else 1}
        if provider == "TensorrtExecutionProvider":
            options: dict[str, Any] = {
                "device_id": index,
                "trt_fp16_enable": self.precision == "fp16",
            }
            if self._cache_folder is not None:
                engines = self._cache_folder / "tensorrt"
                options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines)}
            return options
        return {}

    def _run(self, images: Tensor) -> NetworkOutput:
        if self.device.type == "cuda" and self._sizes_are_fixed:
            return self._run_on_device(images.contiguous())
        pixels = np.ascontiguousarray(images.cpu().numpy().astype(self._input_type, copy=False))
        try:
            results = self._network.run(None, {self._input_name: pixels})
        except Exception as error:  # onnxruntime's own kinds
            height, width = images.shape[2:]
            raise YolactError(
                f"ONNX Runtime cannot run the network on an input of {width}x{height} px "
                f"({first_line(error)}); use a larger input_size"
            ) from error
        outputs = [torch.from_numpy(result).float().to(self.device) for result in results]
        return self._name_outputs(outputs, images)

    def _run_on_device(self, images: Tensor) -> NetworkOutput:
        """Bind torch's own memory, so that nothing passes through the host."""
        binding = self._network.io_binding()
        index = self.device.index or 0
        binding.bind_input(
            self._input_name, "cuda", index, np.float32, tuple(images.shape), images.data_ptr()
        )
        outputs = []
        for node in self._network.get_outputs():
            output = torch.empty(node.shape, dtype=torch.float32, device=self.device)
            binding.bind_output(
                node.name, "cuda", index, np.float32, tuple(output.shape), output.data_ptr()
            )
            outputs.append(output)
        # onnxruntime has a stream of its own.
        torch.cuda.current_stream(self.device).synchronize()
        self._network.run_with_iobinding(binding)
        return self._name_outputs(outputs, images)
