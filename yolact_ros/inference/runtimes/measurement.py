"""How long runtimes take, one beside the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from yolact_ros.inference.runtimes.base import Runtime

__all__ = ["Turn", "measure_ms"]

MEASURE_RUNS = 9
MEASURE_MS = 3000.0
WARM_UP_RUNS = 2

Turn = Callable[[], AbstractContextManager[object]]
"""Makes a context that a run of a runtime is in."""


@torch.inference_mode()
def measure_ms(runtimes: Sequence[Runtime], turn: Turn = nullcontext) -> list[float]:
    """The least time of a run of each on an empty image, in milliseconds, warmed up.

    They run in turn, and the least counts: other programs would otherwise decide. On a busy
    machine one after the other, by medians, chose eager (78 ms) before OpenVINO (267 ms).
    """
    least_ms = [float("inf")] * len(runtimes)
    images = [
        torch.zeros(1, 3, one.shape.height_px, one.shape.width_px, device=one.device)
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
