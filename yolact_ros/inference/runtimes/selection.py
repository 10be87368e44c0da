"""Opening a runtime by name, or the fastest one by measurement."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from yolact_ros.errors import DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.choices import keep_choice, read_choice
from yolact_ros.inference.runtimes.compiled import CompiledRuntime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.graph import GraphRuntime
from yolact_ros.inference.runtimes.names import RUNTIMES
from yolact_ros.inference.runtimes.onnxruntime import OnnxRuntime
from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.inference.runtimes.precision import fastest_float
from yolact_ros.models import Yolact

__all__ = [
    "RUNTIMES",
    "choose_runtime",
    "default_engine_folder",
    "measure_ms",
    "open_eager",
    "open_runtime",
    "prepare_candidates",
    "remembered_choice",
]

MEASURE_RUNS = 9
MEASURE_MS = 3000.0
WARM_UP_RUNS = 2
# Programs that want to run for each core; compiling alone makes it one.
BUSY_LOAD = 1.5

_logger = logging.getLogger(__name__)

Turn = Callable[[], AbstractContextManager[object]]


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
        return _remembered(request) or _fastest(request, nullcontext, dict)
    if name != "compiled":
        return request.open(name)
    try:
        return request.open(name)
    except RuntimeUnavailableError as error:
        # Raises the same error again where not the compiler but the precision is at fault.
        runtime = _open_candidate(request, "eager", f"instead of compiled: {error}")
        _logger.warning("running eager instead of compiled: %s", error)
        return runtime


def remembered_choice(
    model: Yolact, *, device: torch.device, precision: str = "auto", cache_folder: Path | None
) -> str:
    """Name of the runtime that ``auto`` chose before for such a network; empty if none."""
    return read_choice(cache_folder, _choice_key(model, device, precision))


def open_eager(model: Yolact, *, device: torch.device, precision: str = "auto") -> Runtime:
    """Eager as ``auto`` would open it: ``auto`` precision is the device's fastest float.

    Raises:
        RuntimeUnavailableError: the device lacks the precision.
    """
    return _open_candidate(_Request(model, device, precision, None, None), "eager")


def prepare_candidates(
    model: Yolact, *, device: torch.device, precision: str, cache_folder: Path | None
) -> dict[str, str]:
    """Fill the cache with what ``auto`` will open to measure.

    Returns:
        why, by the name of each runtime that cannot run here.
    """
    unavailable: dict[str, str] = {}
    opened, _ = _open_candidates(
        _Request(model, device, precision, cache_folder, None), unavailable
    )
    for runtime in opened:
        runtime.close()
    return unavailable


def choose_runtime(
    model: Yolact,
    *,
    device: torch.device,
    precision: str = "auto",
    cache_folder: Path | None = None,
    turn: Turn = nullcontext,
    prepare: Callable[[], Mapping[str, str]] = dict,
) -> Runtime:
    """The fastest runtime by measurement, whatever was chosen before; kept in the cache.

    Args:
        model, device, precision, cache_folder: as for :func:`open_runtime`.
        turn: every measured run is within one of these, so that another thread's runs on the
            same device wait for it and do not slow it.
        prepare: called before runtimes are opened, to fill the cache with what that needs;
            returns why, by the names of those that need not be tried.

    Raises:
        RuntimeUnavailableError: none can run here; the message says why.
    """
    request = _Request(model, device, precision, cache_folder, None)
    return _fastest(request, turn, prepare)


def measure_ms(runtimes: Sequence[Runtime], turn: Turn = nullcontext) -> list[float]:
    """The least time of a run of each on an empty image, in milliseconds, warmed up.

    They run in turn, and the least counts: other programs would otherwise decide. On a busy
    machine one after the other, by medians, chose eager (78 ms) before OpenVINO (267 ms).

    Args:
        runtimes: of one device.
        turn: entered for every run.
    """
    least_ms = [float("inf")] * len(runtimes)
    images = [
        torch.zeros(1, 3, one.input_size_px, one.input_size_px, device=one.device)
        for one in runtimes
    ]
    spent_ms = 0.0
    for number in range(WARM_UP_RUNS + MEASURE_RUNS):
        for index, runtime in enumerate(runtimes):
            with turn():
                run_s = time.perf_counter()
                runtime.run(images[index])
                if runtime.device.type == "cuda":
                    torch.cuda.synchronize(runtime.device)
                taken_ms = (time.perf_counter() - run_s) * 1e3
            spent_ms += taken_ms
            if number >= WARM_UP_RUNS:
                least_ms[index] = min(least_ms[index], taken_ms)
        if number >= WARM_UP_RUNS and spent_ms > MEASURE_MS * len(runtimes):
            break
    return least_ms


def _candidates(device: torch.device, precision: str) -> tuple[str, ...]:
    if precision == "int8":
        return ("openvino",)
    if device.type == "cuda":
        return ("graph", "compiled", "eager")
    return ("openvino", "compiled", "eager")


def _choice_key(model: Yolact, device: torch.device, precision: str) -> str:
    # Who installs OpenVINO later wants it to be tried.
    beside = "openvino" if importlib.util.find_spec("openvino") else ""
    return engine_key("auto", model, str(device), precision, beside)


def _remembered(request: _Request) -> Runtime | None:
    name = remembered_choice(
        request.model,
        device=request.device,
        precision=request.precision,
        cache_folder=request.cache_folder,
    )
    if not name:
        return None
    try:
        return _open_candidate(request, name, "the fastest when it was measured")
    except (RuntimeUnavailableError, DependencyError) as error:
        _logger.warning("the runtime chosen before cannot run any more: %s", error)
        return None


def _open_candidates(
    request: _Request, unavailable: dict[str, str]
) -> tuple[list[Runtime], list[str]]:
    """Those that can run here and were not named unavailable before, and notes on the others."""
    opened: list[Runtime] = []
    notes: list[str] = []
    try:
        for name in _candidates(request.device, request.precision):
            if name == "compiled" and any(runtime.name == "openvino" for runtime in opened):
                # Compiling takes minutes and was never faster than OpenVINO where both exist.
                notes.append("compiled not tried beside openvino")
                continue
            if name not in unavailable:
                try:
                    opened.append(_open_candidate(request, name))
                    continue
                except (RuntimeUnavailableError, DependencyError) as error:
                    unavailable[name] = str(error)
            notes.append(f"{name} not available ({unavailable[name]})")
    except BaseException:
        _close(opened)
        raise
    return opened, notes


def _fastest(request: _Request, turn: Turn, prepare: Callable[[], Mapping[str, str]]) -> Runtime:
    # Before anything is opened: compiling is a load too, as are a node's own images.
    busy = _is_busy()
    opened, notes = _open_candidates(request, dict(prepare()))
    if not opened:
        raise RuntimeUnavailableError(
            f"no runtime can run {request.model.config.name} with precision {request.precision} "
            f"on {request.device}: {'; '.join(notes)}"
        )
    try:
        taken_ms = measure_ms(opened, turn)
    except BaseException:
        _close(opened)
        raise
    best = opened[taken_ms.index(min(taken_ms))]
    notes += [
        f"{runtime.name} {runtime.precision} {least_ms:.1f} ms"
        for runtime, least_ms in zip(opened, taken_ms, strict=True)
    ]
    _close([runtime for runtime in opened if runtime is not best])
    if busy:
        notes.append("not remembered, since other programs kept the machine busy")
    best.reason = "; ".join(filter(None, (f"fastest: {'; '.join(notes)}", best.reason)))
    _logger.info("runtime %s, %s", best.name, best.reason)
    if not busy:
        key = _choice_key(request.model, request.device, request.precision)
        keep_choice(request.cache_folder, key, best.name)
    return best


def _close(runtimes: Sequence[Runtime]) -> None:
    for runtime in runtimes:
        runtime.close()


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
