"""ncnn, whose fast convolutions suit CPUs without units for bfloat16 and int8."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.ncnn_conversion import (
    GRAPH_FILE,
    WEIGHTS_FILE,
    convert_network,
)
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["NcnnRuntime"]


class NcnnRuntime(Runtime):
    """The network converted to ncnn, on the CPU, in fp32. ncnn's int8 was slower than OpenVINO's.

    Its 3x3 convolutions (Winograd) take a quarter to a half of the multiplications. It keeps their
    weights in that form: twice the memory of OpenVINO.

    Arguments and errors are those of the base class.
    """

    name = "ncnn"

    def _precisions(self) -> Sequence[str]:
        if self.device.type != "cpu":
            raise RuntimeUnavailableError(
                f"the runtime ncnn runs on the CPU, the device is {self.device}; set device to "
                "cpu or runtime to graph"
            )
        return ("fp32",)

    def _open(self, model: Network) -> Any:
        self._ncnn = require("ncnn", extra="ncnn")
        require("pnnx", extra="ncnn")
        versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ncnn", "pnnx")]
        key = engine_key("ncnn", model, *versions)

        def convert(folder: Path) -> None:
            convert_network(model, folder)

        return self._cache.load(key, convert, partial(_read, self._ncnn, model.config.name))

    def _run(self, images: Tensor) -> NetworkOutput:
        # ncnn reads this memory without holding it, so the name must live as long as the run.
        pixels = np.ascontiguousarray(images[0].numpy())
        extractor = self._network.create_extractor()
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
        return NetworkOutput(*outputs)


def _read(ncnn: Any, model_name: str, folder: Path) -> Any:
    """The network in a folder."""
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    # On by default, where the CPU has them: fp32 is exact here.
    net.opt.use_fp16_packed = False
    net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = False
    statuses = (
        net.load_param(os.fspath(folder / GRAPH_FILE)),
        net.load_model(os.fspath(folder / WEIGHTS_FILE)),
    )
    if any(statuses):
        raise RuntimeUnavailableError(
            f"ncnn cannot read {model_name} as pnnx converted it; set runtime to openvino, "
            "compiled or eager"
        )
    return net
