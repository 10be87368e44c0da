"""ncnn, whose fast convolutions suit CPUs without units for bfloat16 and int8."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.engine_cache import EngineCache, engine_key
from yolact_ros.inference.runtimes.fold import InferenceNetwork
from yolact_ros.inference.runtimes.ncnn_conversion import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    convert_network,
)
from yolact_ros.inference.runtimes.precision import choose_precision
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["NcnnRuntime"]

_logger = logging.getLogger(__name__)


class NcnnRuntime(Runtime):
    """The network converted to ncnn, on the CPU, in fp32.

    Its 3x3 convolutions (Winograd) take a quarter to a half of the multiplications. It keeps their
    weights in that form: twice the memory of OpenVINO.

    Args:
        model: the network.
        device: must be the CPU.
        precision: ``auto`` is fp32, the only one. ncnn's int8 was slower than OpenVINO's.
        cache_folder: keeps the converted network; None converts every time.
        reason: why this runtime.

    Raises:
        DependencyError: ncnn or its converter pnnx is not installed.
        RuntimeUnavailableError: not a CPU, no such precision here, or ncnn cannot run the network.
    """

    name = "ncnn"

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device,
        precision: str = "auto",
        cache_folder: Path | None = None,
        reason: str = "",
    ) -> None:
        if device.type != "cpu":
            raise RuntimeUnavailableError(
                f"the runtime ncnn runs on the CPU, the device is {device}; set device to cpu or "
                "runtime to graph"
            )
        precision = choose_precision(
            precision, runtime=self.name, device=device, offered=("fp32",), default="fp32"
        )
        super().__init__(
            shape=model.config.input_shape,
            device=device,
            precision=precision,
            reason=reason,
        )
        ncnn = require("ncnn", extra="ncnn")
        require("pnnx", extra="ncnn")
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ncnn", "pnnx")]
        key = engine_key("ncnn", model, *versions)
        self._ncnn = ncnn
        self._cache = EngineCache(cache_folder)
        self._net: Any = self._load(key, model)

    def _load(self, key: str, model: Network) -> Any:
        def convert(folder: Path) -> None:
            convert_network(model, folder)

        net = _read(self._ncnn, self._cache.get(key, convert))
        if net is None:
            # Whole, but not readable: another ncnn wrote it, or its reader changed.
            _logger.warning("ncnn cannot read the engine %s; converting again", key)
            self._cache.discard(key)
            net = _read(self._ncnn, self._cache.get(key, convert))
        if net is None:
            raise RuntimeUnavailableError(
                f"ncnn cannot read {model.config.name} as pnnx converted it; set runtime to "
                "openvino, compiled or eager"
            )
        return net

    def _run(self, images: Tensor) -> NetworkOutput:
        if self._net is None:
            raise self._closed()
        # ncnn reads this memory without holding it, so the name must live as long as the run.
        pixels = np.ascontiguousarray(images[0].numpy())
        extractor = self._net.create_extractor()
        extractor.input("in0", self._ncnn.Mat(pixels))
        outputs = []
        for index in range(4):
            status, values = extractor.extract(f"out{index}")
            if status != 0:
                raise RuntimeUnavailableError(
                    f"ncnn ended with status {status} at an input of {self.input_size_px} px; "
                    "most likely there is no memory left: use a smaller input_size or another "
                    "runtime"
                )
            outputs.append(torch.from_numpy(np.asarray(values))[None])
        outputs[2] = outputs[2].tanh()  # which the conversion left out
        return InferenceNetwork.output(tuple(outputs))

    def close(self) -> None:
        """Free the network."""
        self._net = None
        self._cache.close()


def _read(ncnn: Any, folder: Path) -> Any:
    """The network in a folder; None if ncnn cannot read it."""
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    # On by default, where the CPU has them: fp32 is exact here.
    net.opt.use_fp16_packed = False
    net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = False
    if net.load_param(os.fspath(folder / GRAPH_FILE)) != 0:
        return None
    if net.load_model(os.fspath(folder / WEIGHTS_FILE)) != 0:
        return None
    return net
