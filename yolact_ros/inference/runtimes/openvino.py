"""OpenVINO, the fast runtime on CPUs; int8 by post-training quantisation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError, YolactError, first_line
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.calibration import calibration_images, network_inputs
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.inference.runtimes.precision import (
    fastest_float,
    int8_sums_saturate,
    native_floats,
)
from yolact_ros.inference.runtimes.quantized import QuantizedEngine
from yolact_ros.models.network import Network
from yolact_ros.models.yolo_seg import YoloSeg
from yolact_ros.structures import NetworkOutput
from yolact_ros.workers import last_line

__all__ = ["OpenVinoRuntime"]

MODEL_FILE = "network.xml"
_HINTS = {"fp32": "f32", "bf16": "bf16"}
# Layers on the largest maps, whose rounding reaches all others. In float they cost no measurable
# time and halve the error of the bundled model's int8 outputs (class logits 0.061 to 0.033 RMS,
# prototypes 0.101 to 0.034); heads and prototypes in float brought nothing.
_FLOAT_LAYERS = r".*\.backbone\.(stem|blocks\.0|conv1|_preconv)\b.*"


class OpenVinoRuntime(Runtime):
    """The network converted to OpenVINO, on the CPU.

    ``auto`` is bf16 where the CPU has it natively, else fp32. ``int8`` quantises weights and
    activations, by nncf; layers that stay floats run in bf16 where that is native.

    Arguments and errors are those of the base class.
    """

    name = "openvino"

    def _precisions(self) -> Sequence[str]:
        if self.device.type != "cpu":
            raise RuntimeUnavailableError(
                f"the runtime openvino runs on the CPU, the device is {self.device}; set device "
                "to cpu or runtime to graph"
            )
        return (*native_floats(self.device), "int8")

    def _open(self, model: Network) -> Any:
        openvino = require("openvino", extra="openvino")
        floats = fastest_float(self.device) if self.precision == "int8" else self.precision
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[floats],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        core = _core()
        open_network = self._quantized if self.precision == "int8" else self._converted
        converted = open_network(core, openvino, model)
        try:
            compiled = core.compile_model(converted, "CPU", options)
        except RuntimeError as error:
            raise RuntimeUnavailableError(
                f"OpenVINO cannot run {model.config.name} on this CPU ({last_line(str(error))}); "
                f"set runtime to {'compiled' if model.is_torch else 'onnxruntime'} or eager"
            ) from error
        self._name_outputs = model.name_outputs
        self._num_outputs = len(compiled.outputs)
        self._is_file = isinstance(model, YoloSeg)
        return compiled.create_infer_request()

    def _converted(self, core: Any, openvino: Any, model: Network) -> Any:
        """The network as OpenVINO reads it, from the cache if it was converted before."""
        if isinstance(model, YoloSeg):
            return _read_onnx(core, openvino, model)
        key = engine_key("openvino-float", model, f"openvino {openvino.__version__}")

        def convert(folder: Path) -> None:
            openvino.save_model(
                _convert(openvino, model), folder / MODEL_FILE, compress_to_fp16=False
            )

        return self._cache.load(key, convert, lambda folder: core.read_model(folder / MODEL_FILE))

    def _quantized(self, core: Any, openvino: Any, model: Network) -> Any:
        """The network in int8, from the cache if it was made before."""
        bits = "7 bits" if int8_sums_saturate() else "8 bits"
        key = engine_key("openvino-int8", model, f"openvino {openvino.__version__}", bits)
        folder = self._calibration_folder
        images = None if folder is None else calibration_images(folder)
        self.quantized = engine = QuantizedEngine(self._cache, key, images)

        def quantize(folder: Path, images: Sequence[Path]) -> None:
            quantized = _quantize(self._converted(core, openvino, model), model, images)
            openvino.save_model(quantized, folder / MODEL_FILE, compress_to_fp16=False)

        network = self._cache.load(
            key, engine.builder(quantize), lambda folder: core.read_model(folder / MODEL_FILE)
        )
        self.reason = "; ".join(filter(None, (self.reason, engine.summary)))
        return network

    def _run(self, images: Tensor) -> NetworkOutput:
        contiguous = np.ascontiguousarray(images.numpy())
        try:
            results = self._network.infer([contiguous], share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            height, width = images.shape[2:]
            raise YolactError(
                f"OpenVINO cannot run the network on an input of {width}x{height} px "
                f"({last_line(str(error))}); use a larger input_size"
            ) from error
        outputs = [torch.from_numpy(results[index]) for index in range(self._num_outputs)]
        if self._is_file:
            outputs = [o.permute(0, 3, 1, 2) if o.dim() == 4 else o for o in outputs]
        return self._name_outputs(outputs, images)


@cache
def _core() -> Any:
    """The only Core of this process, which is never destroyed.

    The CPU plugin gives the thread that makes a Core an alternate signal stack, and takes it away
    with the Core. Several that end in another order than the reverse leave the thread one that is
    unmapped: the next signal with a Python handler, SIGINT or the SIGCHLD of a data loader, then
    ends the process with a segmentation fault.
    """
    return require("openvino", extra="openvino").Core()


def _convert(openvino: Any, model: Network) -> Any:
    network = prepare_network(model, device=torch.device("cpu"), for_export=True)
    side = model.config.input_size_px
    example = torch.zeros(1, 3, side, side)
    try:
        with torch.no_grad():
            return openvino.convert_model(network, example_input=example, input=[1, 3, side, side])
    except Exception as error:  # OpenVINO's frontends raise several kinds
        raise RuntimeUnavailableError(
            f"OpenVINO cannot convert {model.config.name} ({first_line(error)}); set runtime to "
            "compiled or eager"
        ) from error


def _read_onnx(core: Any, openvino: Any, model: YoloSeg) -> Any:
    """An ONNX file as it is, for float32 inputs of the config's sizes."""
    try:
        network = core.read_model(model.path)
    except RuntimeError as error:
        raise RuntimeUnavailableError(
            f"OpenVINO cannot read {model.path} ({last_line(str(error))}); set runtime to "
            "onnxruntime"
        ) from error
    shape = model.config.input_shape
    sides = [
        openvino.Dimension(shape.least_px, side) if shape.stride_px else side
        for side in (shape.height_px, shape.width_px)
    ]
    network.reshape(openvino.PartialShape([1, 3, *sides]))
    prepared = openvino.preprocess.PrePostProcessor(network)
    prepared.input().tensor().set_element_type(openvino.Type.f32)
    for index, output in enumerate(network.outputs):
        prepared.output(index).tensor().set_element_type(openvino.Type.f32)
        if output.partial_shape.rank.get_length() == 4:
            # Prototypes pixel by pixel, as masks read them: OpenVINO reorders its blocks of
            # channels anyway, and NumPy took a millisecond for 160 x 160 x 32.
            prepared.output(index).model().set_layout(openvino.Layout("NCHW"))
            prepared.output(index).tensor().set_layout(openvino.Layout("NHWC"))
    return prepared.build()


def _quantize(converted: Any, model: Network, images: Sequence[Path]) -> Any:
    nncf = require("nncf", extra="openvino")
    nncf.set_log_level(logging.WARNING)
    fix = nncf.OverflowFix.ENABLE if int8_sums_saturate() else nncf.OverflowFix.DISABLE
    return nncf.quantize(
        converted,
        nncf.Dataset(network_inputs(images, model.config)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(patterns=[_FLOAT_LAYERS], validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    )
