"""ONNX Runtime: the network as an ONNX file, with TensorRT and CUDA where they are present."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError, YolactError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.engine_cache import EngineCache, engine_key
from yolact_ros.inference.runtimes.onnx_export import OPSET, export_network
from yolact_ros.inference.runtimes.precision import choose_precision, native_floats
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

_logger = logging.getLogger(__name__)


class OnnxRuntime(Runtime):
    """The network in ONNX Runtime.

    Args:
        model: the network.
        device: the CPU or a CUDA device that the installed onnxruntime supports.
        precision: ``auto`` is fp32. fp16 needs the TensorRT provider.
        cache_folder: keeps the exported network and TensorRT's engine; None exports every time.
        reason: why this runtime.

    Raises:
        DependencyError: onnxruntime, onnx or onnxscript is not installed.
        RuntimeUnavailableError: the installed onnxruntime does not support the device, no such
            precision here, or the network cannot be exported.
    """

    name = "onnxruntime"

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device,
        precision: str = "auto",
        cache_folder: Path | None = None,
        reason: str = "",
    ) -> None:
        onnxruntime = require("onnxruntime", extra="onnx")
        present = onnxruntime.get_available_providers()
        providers = [name for name in _PROVIDERS.get(device.type, ()) if name in present]
        if not providers:
            raise RuntimeUnavailableError(
                f"the installed onnxruntime has no provider for {device}, only "
                f"{', '.join(present)}; install onnxruntime-gpu or set device to cpu"
            )
        has_tensorrt = "TensorrtExecutionProvider" in providers
        offered = [name for name in native_floats(device) if name == "fp32" or has_tensorrt]
        precision = choose_precision(
            precision,
            runtime=self.name,
            device=device,
            offered=[name for name in offered if name != "bf16"],
            default="fp16" if "fp16" in offered else "fp32",
        )
        super().__init__(
            shape=model.config.input_shape,
            device=device,
            precision=precision,
            reason=reason,
        )
        self._cache = EngineCache(cache_folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._name_outputs = model.name_outputs
        key = engine_key("onnx", model, f"opset {OPSET}")

        def build(folder: Path) -> None:
            export_network(model, folder / MODEL_FILE)

        def open_session() -> Any:
            is_file = isinstance(model, YoloSeg)
            path = model.path if is_file else self._cache.get(key, build) / MODEL_FILE
            settings = [self._provider_options(name, cache_folder) for name in providers]
            return onnxruntime.InferenceSession(
                path, options, providers=list(zip(providers, settings, strict=True))
            )

        try:
            self._session: Any = open_session()
        except YolactError:
            raise
        except Exception as error:  # onnxruntime's own kinds
            if isinstance(model, YoloSeg):
                raise RuntimeUnavailableError(
                    f"ONNX Runtime cannot load {model.path} ({str(error).splitlines()[0]}); set "
                    "runtime to openvino, or export it again with opset=17"
                ) from error
            _logger.warning(
                "onnxruntime cannot load the engine %s (%s); exporting again", key, error
            )
            self._cache.discard(key)
            self._session = open_session()
        (image,) = self._session.get_inputs()
        self._input_name = image.name
        self._input_type = np.float16 if image.type == "tensor(float16)" else np.float32
        sides = [side for node in self._session.get_outputs() for side in node.shape]
        self._sizes_are_fixed = self._input_type == np.float32 and all(
            isinstance(side, int) for side in sides
        )

    def _provider_options(self, provider: str, cache_folder: Path | None) -> dict[str, Any]:
        index = self.device.index or 0
        if provider == "CUDAExecutionProvider":
            return {"device_id": index, "use_tf32": 0 if self.precision == "fp32" else 1}
        if provider == "TensorrtExecutionProvider":
            options: dict[str, Any] = {
                "device_id": index,
                "trt_fp16_enable": self.precision == "fp16",
            }
            if cache_folder is not None:
                engines = cache_folder / "tensorrt"
                options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines)}
            return options
        return {}

    def _run(self, images: Tensor) -> NetworkOutput:
        if self._session is None:
            raise self._closed()
        if self.device.type == "cuda" and self._sizes_are_fixed:
            return self._run_on_device(images.contiguous())
        pixels = np.ascontiguousarray(images.cpu().numpy().astype(self._input_type, copy=False))
        try:
            results = self._session.run(None, {self._input_name: pixels})
        except Exception as error:  # onnxruntime's own kinds
            height, width = images.shape[2:]
            raise YolactError(
                f"ONNX Runtime cannot run the network on an input of {width}x{height} px "
                f"({str(error).splitlines()[0]}); use a larger input_size"
            ) from error
        outputs = [torch.from_numpy(result).float().to(self.device) for result in results]
        return self._name_outputs(outputs, images)

    def _run_on_device(self, images: Tensor) -> NetworkOutput:
        """Bind torch's own memory, so that nothing passes through the host."""
        binding = self._session.io_binding()
        index = self.device.index or 0
        binding.bind_input(
            self._input_name, "cuda", index, np.float32, tuple(images.shape), images.data_ptr()
        )
        outputs = []
        for node in self._session.get_outputs():
            output = torch.empty(node.shape, dtype=torch.float32, device=self.device)
            binding.bind_output(
                node.name, "cuda", index, np.float32, tuple(output.shape), output.data_ptr()
            )
            outputs.append(output)
        # onnxruntime has a stream of its own.
        torch.cuda.current_stream(self.device).synchronize()
        self._session.run_with_iobinding(binding)
        return self._name_outputs(outputs, images)

    def close(self) -> None:
        """Let go of the network."""
        self._session = None
        self._cache.close()
