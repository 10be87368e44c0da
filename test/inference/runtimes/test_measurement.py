"""Timing runtimes against each other, by a clock that only their runs move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.inference.runtimes import measurement
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.measurement import measure_ms
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.models import Yolact
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

CPU = torch.device("cpu")


class Clock:
    """Stands still but for the runs of :class:`Busy`."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measurement, "time", clock)
    return clock


class Busy(Runtime):
    """A runtime that other programs slow down in some of its runs."""

    def __init__(self, quiet_s: float, slow_runs: range, order: list[str], clock: Clock) -> None:
        model: Any = SimpleNamespace(config=variant("yolact_light", input_size_px=64))
        super().__init__(model, device=CPU, precision="fp32")
        self._quiet_s, self._slow_runs, self._order = quiet_s, slow_runs, order
        self._clock = clock
        self._runs = 0

    def _open(self, model: Network) -> str:
        return "nothing"

    def _run(self, images: Tensor) -> NetworkOutput:
        self._clock.now_s += self._quiet_s + 0.02 * (self._runs in self._slow_runs)
        self._runs += 1
        self._order.append(self.name)
        return NetworkOutput(images, images, images, images)


class Fast(Busy):
    name = "fast"


class Slow(Busy):
    name = "slow"


def test_runtimes_are_measured_in_turn_and_other_programs_do_not_decide(clock: Clock) -> None:
    order: list[str] = []
    fast = Fast(0.001, range(2, 9), order, clock)
    slow = Slow(0.01, range(0), order, clock)
    assert measure_ms([fast, slow]) == pytest.approx([1.0, 10.0])
    assert order[:4] == ["fast", "slow", "fast", "slow"]


def test_every_measured_run_has_a_turn_of_its_own(clock: Clock) -> None:
    order: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        order.append("begin")
        yield
        order.append("end")

    measure_ms([Fast(0.0, range(0), order, clock), Slow(0.0, range(0), order, clock)], turn)
    assert order[:6] == ["begin", "fast", "end", "begin", "slow", "end"]
    assert len(order) == 3 * 2 * order.count("fast")


def test_measuring_runs_the_network(tiny: Yolact) -> None:
    (taken_ms,) = measure_ms([open_runtime("eager", tiny, device=CPU)])
    assert 0.0 < taken_ms < float("inf")
