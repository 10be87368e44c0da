"""Memory that something takes: of this process, and of a GPU."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["MemoryMeter", "MemoryUse"]

MEBIBYTE = 1 << 20
# proc(5): resets the peak of the resident memory.
RESET_PEAK = "5"


@dataclass(frozen=True)
class MemoryUse:
    """In MiB; 0 where the system does not say.

    Attributes:
        resident_mib: growth of the process's resident memory.
        peak_mib: the most that it grew by in between.
        cuda_peak_mib: the most that tensors took on the GPU, with what was there before.
    """

    resident_mib: float
    peak_mib: float
    cuda_peak_mib: float


class MemoryMeter:
    """Watches from its making on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Where that is not allowed, the peak is that of the process so far.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._begun_kib = _status_kib("VmRSS")

    def read(self) -> MemoryUse:
        """What was taken since the beginning."""
        cuda_bytes = 0
        if self._device.type == "cuda":
            cuda_bytes = torch.cuda.max_memory_allocated(self._device)
        return MemoryUse(
            resident_mib=(_status_kib("VmRSS") - self._begun_kib) / 1024,
            peak_mib=(_status_kib("VmHWM") - self._begun_kib) / 1024,
            cuda_peak_mib=cuda_bytes / MEBIBYTE,
        )


def _status_kib(name: str) -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
