"""Networks in the format of ncnn, made by its converter pnnx."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import nn

from yolact_ros.dependencies import require
from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.models.network import Network
from yolact_ros.workers import how_it_ended, last_line, leave_real_time

__all__ = ["GRAPH_FILE", "WEIGHTS_FILE", "convert_network"]

GRAPH_FILE = "network.ncnn.param"
WEIGHTS_FILE = "network.ncnn.bin"
TRACE_FILE = "network.pt"


def convert_network(model: Network, folder: Path) -> None:
    """Write :data:`GRAPH_FILE` and :data:`WEIGHTS_FILE` into a folder.

    The input is ``in0``, of the config's size. ``out0`` to ``out3`` are the outputs of the network
    in its order, without the batch, the coefficients before tanh: ncnn's is good to 1e-7, which is
    3e-4 of the value where all are near zero.

    Raises:
        DependencyError: pnnx is not installed.
        RuntimeUnavailableError: ncnn cannot run such a network; the message says why.
    """
    program = require("pnnx", extra="ncnn").EXEC_PATH
    side = model.config.input_size_px
    network = prepare_network(model, device=torch.device("cpu"), for_export=True)
    _leave_out_tanh(network)
    # Beside the engine, so that the files only change their names; pnnx writes more than these.
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        with torch.no_grad():
            traced = torch.jit.trace(network, torch.zeros(1, 3, side, side))
            traced.save(os.path.join(name, TRACE_FILE))
        command = [program, TRACE_FILE, f"inputshape=[1,3,{side},{side}]", "fp16=0"]
        status, output = _run_fairly(command, name)
        graph, weights = Path(name, GRAPH_FILE), Path(name, WEIGHTS_FILE)
        if status != 0 or not graph.is_file() or not weights.is_file():
            said = last_line(output) or "it said nothing"
            raise _cannot_convert(model, f"pnnx {how_it_ended(status)}: {said}")
        if unknown := _unknown_operators(graph.read_text()):
            raise _cannot_convert(model, f"it has no {', '.join(unknown)}")
        os.replace(graph, folder / GRAPH_FILE)
        os.replace(weights, folder / WEIGHTS_FILE)


def _leave_out_tanh(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Tanh):
                setattr(module, name, nn.Identity())


def _run_fairly(command: list[str], folder: str) -> tuple[int, str]:
    """Run a program in a folder at the usual priority; its status, and all that it said."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    leave_real_time(process.pid)
    output, _ = process.communicate()
    return process.returncode, output


def _unknown_operators(graph: str) -> list[str]:
    """Operators that ncnn has no layer for; pnnx writes them down under torch's names."""
    types = {line.split(maxsplit=1)[0] for line in graph.splitlines()[2:] if line.strip()}
    return sorted(kind for kind in types if "." in kind or ":" in kind)


def _cannot_convert(model: Network, reason: str) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(
        f"{model.config.name} cannot be converted to ncnn ({reason}); set runtime to openvino, "
        "compiled or eager"
    )
