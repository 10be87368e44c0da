"""torch's compiler: the network as machine code of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.engine_cache import EngineCache, engine_key
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.inference.runtimes.precision import (
    choose_precision,
    fastest_float,
    float_type,
    native_floats,
)
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

__all__ = ["CompiledRuntime", "compile_for_cuda"]

MODEL_FILE = "network.pt2"

_logger = logging.getLogger(__name__)


class CompiledRuntime(Runtime):
    """Batch norms folded, channels last, the weights packed for this machine.

    On the CPU the network is compiled ahead of time into one file, which later runs load within a
    second and without a compiler. On CUDA it is compiled in the process, and torch keeps the
    kernels in its own cache.

    Args:
        model: the network.
        device: where it runs.
        precision: ``auto`` is the fastest float that the device has.
        cache_folder: keeps the compiled network; None compiles every time (a minute or more).
        reason: why this runtime.

    Raises:
        RuntimeUnavailableError: the device lacks the precision, or the compiler fails, for example
            because no C++ compiler is installed.
    """

    name = "compiled"

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device,
        precision: str = "auto",
        cache_folder: Path | None = None,
        reason: str = "",
    ) -> None:
        precision = choose_precision(
            precision,
            runtime=self.name,
            device=device,
            offered=native_floats(device),
            default=fastest_float(device),
        )
        super().__init__(
            shape=model.config.input_shape,
            device=device,
            precision=precision,
            reason=reason,
        )
        self._cache = EngineCache(cache_folder)
        network = prepare_network(model, device=device, dtype=float_type(precision))
        self._network: Callable[[Tensor], tuple[Tensor, ...]] | None
        if device.type == "cpu":
            key = engine_key("compiled", model, precision, f"{torch.get_num_threads()} threads")
            self._network = self._load(key, network)
        else:
            self._network = compile_for_cuda(network, self.input_size_px, device)

    def _load(self, key: str, network: InferenceNetwork) -> Any:
        def build(folder: Path) -> None:
            _compile_to_file(network, self.input_size_px, folder / MODEL_FILE)

        # Imported late: torch's compiler takes more than a second to import.
        from torch._inductor import aoti_load_package as load

        path = self._cache.get(key, build) / MODEL_FILE
        try:
            return load(os.fspath(path))
        except RuntimeError as error:
            _logger.warning("the engine %s cannot be loaded (%s); compiling again", path, error)
            self._cache.discard(key)
            return load(os.fspath(self._cache.get(key, build) / MODEL_FILE))

    def _run(self, images: Tensor) -> NetworkOutput:
        if self._network is None:
            raise self._closed()
        return InferenceNetwork.output(tuple(self._network(images.contiguous())))

    def close(self) -> None:
        """Let go of the network."""
        self._network = None
        self._cache.close()


def compile_for_cuda(
    network: InferenceNetwork, input_size_px: int, device: torch.device
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Compile a prepared network in this process and run it once.

    Raises:
        RuntimeUnavailableError: the compiler fails, for example because Triton is missing.
    """
    example = torch.zeros(1, 3, input_size_px, input_size_px, device=device)
    try:
        compiled: Callable[[Tensor], tuple[Tensor, ...]] = torch.compile(
            network, fullgraph=True, options={"freezing": True, "max_autotune": True}
        )
        with torch.no_grad():
            compiled(example)
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
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    return RuntimeUnavailableError(
        f"torch's compiler failed ({type(error).__name__}: {reason}); on the CPU it needs a C++ "
        "compiler (apt install g++), on CUDA Triton; or set runtime to eager"
    )
