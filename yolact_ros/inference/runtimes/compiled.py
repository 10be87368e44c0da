"""torch's compiler: the network as machine code of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolact_ros.errors import RuntimeUnavailableError, first_line
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.compiler_output import compiler_output_in_log
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.inference.runtimes.precision import float_type
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["CompiledRuntime", "compile_for_cuda"]

MODEL_FILE = "network.pt2"

_logger = logging.getLogger(__name__)


class CompiledRuntime(Runtime):
    """Batch norms folded, channels last, the weights packed for this machine.

    On the CPU the network is compiled ahead of time into one file (a minute or more), which later
    runs load within a second and without a compiler. On CUDA it is compiled in the process, and
    torch keeps the kernels in its own cache. ``auto`` is the fastest float that the device has.

    Arguments and errors are those of the base class; the compiler fails, for example, where no
    C++ compiler is installed.
    """

    name = "compiled"

    def _open(self, model: Network) -> Callable[[Tensor], Any]:
        device = self.device
        network = prepare_network(model, device=device, dtype=float_type(self.precision))
        if device.type != "cpu":
            return compile_for_cuda(network, self.input_size_px, device)

        def build(folder: Path) -> None:
            _compile_to_file(network, self.input_size_px, folder / MODEL_FILE)

        # Imported late: torch's compiler takes more than a second to import.
        from torch._inductor import aoti_load_package

        threads = f"{torch.get_num_threads()} threads"
        key = engine_key("compiled", model, self.precision, threads)
        return self._cache.load(
            key, build, lambda folder: aoti_load_package(os.fspath(folder / MODEL_FILE))
        )

    def _run(self, images: Tensor) -> NetworkOutput:
        return NetworkOutput(*self._network(images.contiguous()))


def compile_for_cuda(
    network: InferenceNetwork, input_size_px: int, device: torch.device
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Compile a prepared network in this process and run it once.

    In inference mode and for tensors made in it, which is how frames come: the compiler takes as
    long again for tensors of another mode.

    Raises:
        RuntimeUnavailableError: the compiler fails, for example because Triton is missing.
    """
    try:
        compiled: Callable[[Tensor], tuple[Tensor, ...]] = torch.compile(
            network, fullgraph=True, options={"freezing": True, "max_autotune": True}
        )
        with torch.inference_mode(), compiler_output_in_log():
            compiled(torch.zeros(1, 3, input_size_px, input_size_px, device=device))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the compiler raises many kinds
        raise _compiler_failed(error) from error
    return compiled


def _compile_to_file(network: InferenceNetwork, input_size_px: int, path: Path) -> None:
    from torch._inductor import aoti_compile_and_package

    example = torch.zeros(1, 3, input_size_px, input_size_px)
    _logger.info("compiling the network for %d px; this takes a minute or more", input_size_px)
    try:
        with torch.no_grad():
            program = torch.export.export(network, (example,))
            aoti_compile_and_package(
                program, package_path=os.fspath(path), inductor_configs={"freezing": True}
            )
    except Exception as error:  # the compiler raises many kinds
        raise _compiler_failed(error) from error


def _compiler_failed(error: Exception) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(
        f"torch's compiler failed ({type(error).__name__}: {first_line(error)}); on the CPU it "
        "needs a C++ compiler (apt install g++), on CUDA Triton; or set runtime to eager"
    )
