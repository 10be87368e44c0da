"""Opening a runtime by name, or the fastest one by measurement."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from yolact_ros.errors import DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.compiled import CompiledRuntime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.graph import GraphRuntime
from yolact_ros.inference.runtimes.names import RUNTIMES
from yolact_ros.inference.runtimes.onnxruntime import OnnxRuntime
from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.inference.runtimes.precision import fastest_float
from yolact_ros.models import Yolact

__all__ = ["RUNTIMES", "default_engine_folder", "measure_ms", "open_runtime"]

CHOICES_FILE = "auto.json"
MEASURE_RUNS = 9
MEASURE_S = 3.0
WARM_UP_RUNS = 2
# Programs that want to run for each core; compiling alone makes it one.
BUSY_LOAD = 1.5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    model: Yolact
    device: torch.device
    precision: str
    cache_folder: Path | None
    calibration_folder: str | os.PathLike[str] | None

    def open(self, name: str, reason: str = "") -> Runtime:
        if name == "eager":
            return EagerRuntime(
                self.model, device=self.device, precision=self.precision, reason=reason
            )
        if name == "graph":
            return GraphRuntime(
                self.model, device=self.device, precision=self.precision, reason=reason
            )
        if name == "openvino":
            return OpenVinoRuntime(
                self.model,
                device=self.device,
                precision=self.precision,
                cache_folder=self.cache_folder,
                calibration_folder=self.calibration_folder,
                reason=reason,
            )
        kind = CompiledRuntime if name == "compiled" else OnnxRuntime
        return kind(
            self.model,
            device=self.device,
            precision=self.precision,
            cache_folder=self.cache_folder,
            reason=reason,
        )


def default_engine_folder() -> Path:
    """Where compiled networks are kept: ``$YOLACT_ROS_CACHE/engines`` or ``~/.cache/...``."""
    override = os.environ.get("YOLACT_ROS_CACHE")
    if override:
        return Path(override).expanduser() / "engines"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "yolact_ros" / "engines"


def open_runtime(
    name: str,
    model: Yolact,
    *,
    device: torch.device,
    precision: str = "auto",
    cache_folder: Path | None = None,
    calibration_folder: str | os.PathLike[str] | None = None,
) -> Runtime:
    """Make a network ready to run at its config's input size.

    Args:
        name: one of :data:`RUNTIMES`. ``auto`` measures those that this machine has and keeps the
            choice in the cache. ``compiled`` falls back to ``eager`` if the compiler fails.
        model: the network; several input sizes are several views of it (``with_input_size``).
        device: where it runs.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        cache_folder: keeps compiled and converted networks; None keeps nothing. See
            :func:`default_engine_folder`.
        calibration_folder: images for int8.

    Raises:
        DependencyError: the runtime's package is not installed.
        DataError: the calibration folder is missing or has no images.
        RuntimeUnavailableError: no such runtime, or it cannot run here; the message says why.
    """
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(
            f"runtime is {name!r}, expected one of {', '.join(RUNTIMES)}"
        )
    request = _Request(model, device, precision, cache_folder, calibration_folder)
    if name == "auto":
        return _fastest(request)
    if name != "compiled":
        return request.open(name)
    try:
        return request.open(name)
    except RuntimeUnavailableError as error:
        # Raises the same error again where not the compiler but the precision is at fault.
        runtime = _open_candidate(request, "eager", f"instead of compiled: {error}")
        _logger.warning("running eager instead of compiled: %s", error)
        return runtime


def measure_ms(runtimes: Sequence[Runtime]) -> list[float]:
    """The least time of a run of each on an empty image, in milliseconds, warmed up.

    They run in turn, and the least counts: other programs would otherwise decide. On a busy
    machine one after the other, by medians, chose eager (78 ms) before OpenVINO (267 ms).
    """
    least_ms = [float("inf")] * len(runtimes)
    images = [
        torch.zeros(1, 3, one.input_size_px, one.input_size_px, device=one.device)
        for one in runtimes
    ]
    begun_s = time.perf_counter()
    for turn in range(WARM_UP_RUNS + MEASURE_RUNS):
        for index, runtime in enumerate(runtimes):
            run_s = time.perf_counter()
            runtime.run(images[index])
            if runtime.device.type == "cuda":
                torch.cuda.synchronize(runtime.device)
            if turn >= WARM_UP_RUNS:
                least_ms[index] = min(least_ms[index], (time.perf_counter() - run_s) * 1e3)
        if turn >= WARM_UP_RUNS and time.perf_counter() - begun_s > MEASURE_S * len(runtimes):
            break
    return least_ms


def _candidates(device: torch.device, precision: str) -> tuple[str, ...]:
    if precision == "int8":
        return ("openvino",)
    if device.type == "cuda":
        return ("graph", "compiled", "eager")
    return ("openvino", "compiled", "eager")


def _fastest(request: _Request) -> Runtime:
    key = engine_key("auto", request.model, str(request.device), request.precision)
    remembered = _read_choices(request.cache_folder).get(key)
    if remembered in RUNTIMES[1:]:
        try:
            return _open_candidate(request, remembered, "the fastest when it was measured")
        except (RuntimeUnavailableError, DependencyError) as error:
            _logger.warning("the runtime chosen before cannot run any more: %s", error)

    opened: list[Runtime] = []
    notes: list[str] = []
    for name in _candidates(request.device, request.precision):
        if name == "compiled" and any(runtime.name == "openvino" for runtime in opened):
            # Compiling takes minutes and was never faster than OpenVINO where both exist.
            notes.append("compiled not tried beside openvino")
            continue
        try:
            opened.append(_open_candidate(request, name))
        except (RuntimeUnavailableError, DependencyError) as error:
            notes.append(f"{name} not available ({error})")
    if not opened:
        raise RuntimeUnavailableError(
            f"no runtime can run {request.model.config.name} with precision {request.precision} "
            f"on {request.device}: {'; '.join(notes)}"
        )
    taken_ms = measure_ms(opened)
    best = opened[taken_ms.index(min(taken_ms))]
    for runtime, least_ms in zip(opened, taken_ms, strict=True):
        notes.append(f"{runtime.name} {runtime.precision} {least_ms:.1f} ms")
        if runtime is not best:
            runtime.close()
    busy = _is_busy()
    if busy:
        notes.append("not remembered, since other programs kept the machine busy")
    best.reason = "; ".join(filter(None, (f"fastest: {'; '.join(notes)}", best.reason)))
    _logger.info("runtime %s, %s", best.name, best.reason)
    if not busy:
        _remember(request.cache_folder, key, best.name)
    return best


def _is_busy() -> bool:
    """Whether far more programs than cores want to run, so that a measurement says little."""
    try:
        return os.getloadavg()[0] > BUSY_LOAD * (os.cpu_count() or 1)
    except OSError:
        return False


def _open_candidate(request: _Request, name: str, reason: str = "") -> Runtime:
    if name == "eager" and request.precision == "auto":
        # Eager alone means exact by ``auto``; here speed is asked for.
        request = replace(request, precision=fastest_float(request.device))
    return request.open(name, reason)


def _read_choices(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    try:
        choices = json.loads((folder / CHOICES_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return choices if isinstance(choices, dict) else {}


def _remember(folder: Path | None, key: str, name: str) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{CHOICES_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(_read_choices(folder) | {key: name}, indent=1))
        os.replace(temporary, folder / CHOICES_FILE)
    except OSError as error:
        _logger.warning("the choice of the runtime cannot be kept in %s: %s", folder, error)
