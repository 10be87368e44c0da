"""The devices that tests run on, and what makes their results comparable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

__all__ = ["CPU", "CUDA", "DEVICES", "allocated_bytes", "exact_convolutions", "needs_cuda"]

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DEVICES = [pytest.param(CPU, id="cpu"), pytest.param(CUDA, id="cuda", marks=needs_cuda)]
"""Values of a parameter: the CPU, and CUDA where it is."""


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Without TF32: torch's fp32 convolutions keep ten bits unless they are told not to."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def allocated_bytes(device: torch.device) -> int:
    """What tensors hold on a CUDA device; 0 for others."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
