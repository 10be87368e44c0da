"""OpenVINO's CPU plugin changes the stack on which Python's signal handlers run."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import pytest
import torch

pytest.importorskip("openvino")

from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.models import Yolact


class SignalStack(ctypes.Structure):
    """stack_t of signal.h."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size_bytes", ctypes.c_size_t),
    )


def is_mapped(address: int) -> bool:
    spans = [line.split(" ")[0] for line in Path("/proc/self/maps").read_text().splitlines()]
    ends = [[int(end, 16) for end in span.split("-")] for span in spans]
    return any(low <= address < high for low, high in ends)


def signal_stack() -> SignalStack:
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack


def test_signals_have_a_stack_after_runtimes_that_ended_in_any_order(tiny: Yolact) -> None:
    first = OpenVinoRuntime(tiny, device=torch.device("cpu"))
    second = OpenVinoRuntime(tiny, device=torch.device("cpu"))
    first.close()
    del first
    gc.collect()
    second.close()
    del second
    gc.collect()
    stack = signal_stack()
    assert stack.address is None or is_mapped(stack.address)
