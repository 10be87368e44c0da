"""Opening a runtime by name, or the fastest one by measurement."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from yolact_ros import resources
from yolact_ros.errors import DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.compiled import CompiledRuntime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.runtimes.engine_cache import engine_key
from yolact_ros.inference.runtimes.graph import GraphRuntime
from yolact_ros.inference.runtimes.measurement import Turn, measure_ms
from yolact_ros.inference.runtimes.names import RUNTIMES
from yolact_ros.inference.runtimes.ncnn import NcnnRuntime
from yolact_ros.inference.runtimes.onnxruntime import OnnxRuntime
from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.inference.runtimes.precision import fastest_float
from yolact_ros.models.network import Network

__all__ = [
    "RUNTIMES",
    "choose_runtime",
    "default_engine_folder",
    "open_eager",
    "open_runtime",
    "prepare_candidates",
    "remembered_choice",
]

CHOICES_FILE = "auto.json"
# Programs that want to run for each core; compiling alone makes it one.
BUSY_LOAD = 1.5

_logger = logging.getLogger(__name__)

_KINDS: Mapping[str, type[Runtime]] = {
    kind.name: kind
    for kind in (
        EagerRuntime,
        CompiledRuntime,
        GraphRuntime,
        OpenVinoRuntime,
        NcnnRuntime,
        OnnxRuntime,
    )
}
# Made within seconds.
_CONVERTED = ("openvino", "ncnn")
# Beside one of these the compiler is not tried: it is slower, or the graph has its kernels.
_INSTEAD_OF_COMPILED = (*_CONVERTED, "graph")


@dataclass(frozen=True)
class _Request:
    model: Network
    device: torch.device
    precision: str
    cache_folder: Path | None
    calibration_folder: str | os.PathLike[str] | None

    def open(self, name: str, reason: str = "") -> Runtime:
        return _KINDS[name](
            self.model,
            device=self.device,
            precision=self.precision,
            cache_folder=self.cache_folder,
            calibration_folder=self.calibration_folder,
            reason=reason,
        )


def default_engine_folder() -> Path:
    """Where compiled networks are kept: ``$YOLACT_ROS_CACHE/engines`` or ``~/.cache/...``."""
    return resources.cache_folder("engines")


def open_runtime(
    name: str,
    model: Network,
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
        cache_folder: keeps compiled and converted networks; None keeps nothing. See
            :func:`default_engine_folder`.

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
    model: Network, *, device: torch.device, precision: str = "auto", cache_folder: Path | None
) -> str:
    """Name of the runtime that ``auto`` chose before for such a network; empty if none."""
    name = _choices(cache_folder).get(_choice_key(model, device, precision), "")
    return name if name in _KINDS else ""


def open_eager(model: Network, *, device: torch.device, precision: str = "auto") -> Runtime:
    """Eager as ``auto`` would open it: ``auto`` precision is the device's fastest float.

    Raises:
        RuntimeUnavailableError: the device lacks the precision.
    """
    return _open_candidate(_Request(model, device, precision, None, None), "eager")


def prepare_candidates(
    model: Network, *, device: torch.device, precision: str, cache_folder: Path | None
) -> dict[str, str]:
    """Fill the cache with what ``auto`` will open to measure.

    Returns:
        why, by the name of each runtime that cannot run here.
    """
    unavailable: dict[str, str] = {}
    request = _Request(model, device, precision, cache_folder, None)
    # One after the other: two networks at a time would need the memory of both.
    for runtime in _candidates(request, unavailable, []):
        runtime.close()
    return unavailable


def choose_runtime(
    model: Network,
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


def _candidate_names(model: Network, device: torch.device, precision: str) -> tuple[str, ...]:
    if precision == "int8":
        return ("openvino",)
    if not model.is_torch:
        return ("onnxruntime",) if device.type == "cuda" else ("openvino", "onnxruntime")
    if device.type == "cuda":
        return ("graph", "compiled", "eager")
    # ncnn has fp32 only, which loses where the CPU has bfloat16.
    computes_fp32 = "fp32" in (precision, fastest_float(device))
    ncnn = ("ncnn",) if computes_fp32 and _is_installed("ncnn") else ()
    return ("openvino", *ncnn, "compiled", "eager")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _choice_key(model: Network, device: torch.device, precision: str) -> str:
    # Who installs one of them later wants it to be tried.
    beside = " ".join(name for name in _CONVERTED if _is_installed(name))
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


def _candidates(
    request: _Request, unavailable: dict[str, str], notes: list[str]
) -> Iterator[Runtime]:
    """Open what ``auto`` measures, each when it is asked for.

    Args:
        request: the network and where it runs.
        unavailable: why, by the names of those that need not be tried; completed.
        notes: receives a line on each that is not opened.
    """
    better: list[str] = []
    for name in _candidate_names(request.model, request.device, request.precision):
        if name == "compiled" and better:
            # Compiling takes minutes and was never faster than these.
            notes.append(f"compiled not tried beside {' and '.join(better)}")
            continue
        if name not in unavailable:
            try:
                runtime = _open_candidate(request, name)
            except (RuntimeUnavailableError, DependencyError) as error:
                unavailable[name] = str(error)
            else:
                better += [name] if name in _INSTEAD_OF_COMPILED else []
                yield runtime
                continue
        notes.append(f"{name} not available ({unavailable[name]})")


def _fastest(request: _Request, turn: Turn, prepare: Callable[[], Mapping[str, str]]) -> Runtime:
    # Before anything is opened: compiling is a load too, as are a node's own images.
    busy = _is_busy()
    opened: list[Runtime] = []
    notes: list[str] = []
    try:
        for runtime in _candidates(request, dict(prepare()), notes):
            opened.append(runtime)
        taken_ms = measure_ms(opened, turn) if opened else []
    except BaseException:
        _close(opened)
        raise
    if not opened:
        raise RuntimeUnavailableError(
            f"no runtime can run {request.model.config.name} with precision {request.precision} "
            f"on {request.device}: {'; '.join(notes)}"
        )
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
        _keep_choice(request.cache_folder, key, best.name)
    return best


def _keep_choice(folder: Path | None, key: str, name: str) -> None:
    """Keep what ``auto`` chose; a folder that cannot be written to is only warned of."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{CHOICES_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(_choices(folder) | {key: name}, indent=1))
        os.replace(temporary, folder / CHOICES_FILE)
    except OSError as error:
        _logger.warning("the choice of the runtime cannot be kept in %s: %s", folder, error)


def _choices(folder: Path | None) -> dict[str, str]:
    """Names of the runtimes that ``auto`` chose before, by :func:`_choice_key`."""
    try:
        choices = json.loads((folder / CHOICES_FILE).read_text()) if folder is not None else {}
    except (OSError, ValueError):
        return {}
    return choices if isinstance(choices, dict) else {}


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
