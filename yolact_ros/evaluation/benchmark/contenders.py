"""The runtimes that are compared: what was asked for, what can run here, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from yolact_ros.errors import (
    ConfigError,
    DataError,
    DependencyError,
    RuntimeUnavailableError,
)
from yolact_ros.evaluation.benchmark.memory import MemoryMeter, MemoryUse
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.precision import PRECISIONS
from yolact_ros.inference.runtimes.selection import RUNTIMES, open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.network import Network

__all__ = [
    "REFERENCE",
    "Contender",
    "ContenderName",
    "LeftOut",
    "default_contenders",
    "open_contenders",
]


@dataclass(frozen=True)
class ContenderName:
    """A runtime with a precision.

    Raises:
        ConfigError: there is none of that name.
    """

    runtime: str
    precision: str = "auto"

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("runtime", self.runtime, RUNTIMES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise ConfigError(f"{kind} is {value!r}, expected one of {', '.join(known)}")

    @classmethod
    def parse(cls, text: str, precision: str = "auto") -> ContenderName:
        """``openvino`` or ``openvino:int8``; ``precision`` is for the first form.

        Raises:
            ConfigError: no such runtime or precision.
        """
        runtime, colon, own = text.partition(":")
        return cls(runtime, own if colon else precision)

    def __str__(self) -> str:
        return self.runtime if self.precision == "auto" else f"{self.runtime} {self.precision}"


REFERENCE = ContenderName("eager", "fp32")
"""What every other one is compared with."""


@dataclass(frozen=True)
class LeftOut:
    """A runtime that could not be measured, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Contender:
    """A runtime that is ready; close its predictor after use.

    Attributes:
        label: runtime and precision.
        predictor: runs the network in it.
        memory: what opening it and the first frames took.
    """

    label: str
    predictor: Predictor
    memory: MemoryUse


def default_contenders(device: torch.device, precision: str = "auto") -> tuple[ContenderName, ...]:
    """All that could run on a device."""
    if device.type == "cuda":
        names: tuple[str, ...] = ("eager", "compiled", "graph", "onnxruntime")
    else:
        names = ("eager", "compiled", "openvino", "ncnn", "onnxruntime")
    return tuple(ContenderName(name, precision) for name in names)


def open_contenders(
    names: Sequence[ContenderName],
    model: Network,
    *,
    device: torch.device,
    settings: PredictionSettings,
    cache_folder: Path | None,
    calibration_folder: Path | None = None,
) -> tuple[list[Contender], list[LeftOut]]:
    """Make the reference and every runtime ready that this machine has.

    Raises:
        RuntimeUnavailableError: none of ``names`` can run here; the message has the reasons.
    """
    contenders: list[Contender] = []
    left_out: list[LeftOut] = []
    for name in dict.fromkeys((REFERENCE, *names)):
        meter = MemoryMeter(device)
        try:
            runtime = open_runtime(
                name.runtime,
                model,
                device=device,
                precision=name.precision,
                cache_folder=cache_folder,
                calibration_folder=calibration_folder,
            )
        except (RuntimeUnavailableError, DependencyError, DataError) as error:
            left_out.append(LeftOut(str(name), str(error)))
            continue
        if name.runtime not in ("auto", runtime.name):
            left_out.append(LeftOut(str(name), runtime.reason or f"ran as {runtime.name}"))
            runtime.close()
            continue
        label = f"{runtime.name} {runtime.precision}"
        if any(contender.label == label for contender in contenders):
            runtime.close()
            continue
        predictor = Predictor(model, device=device, settings=settings, runtime=runtime)
        predictor.warm_up()
        contenders.append(Contender(label, predictor, meter.read()))
    missing = {out.name for out in left_out}
    if all(str(name) in missing for name in names):
        for contender in contenders:
            contender.predictor.close()
        reasons = "; ".join(f"{out.name}: {out.reason}" for out in left_out)
        raise RuntimeUnavailableError(f"none of the runtimes can run here: {reasons}")
    return contenders, left_out
