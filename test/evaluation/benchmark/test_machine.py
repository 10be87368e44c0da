"""The machine's description, and noticing that other programs want it too."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import subprocess
import sys
import time

import pytest
import torch

from yolact_ros.evaluation.benchmark import machine
from yolact_ros.evaluation.benchmark.machine import LoadMeter, MachineLoad, describe_machine
from yolact_ros.evaluation.benchmark.memory import MemoryMeter
from yolact_ros.evaluation.benchmark.spread import Spread


def work(seconds: float) -> None:
    until_s = time.process_time() + seconds
    while time.process_time() < until_s:
        pass


def test_a_spread_has_the_least_the_middle_and_the_edges():
    spread = Spread.of([float(value) for value in range(100, -1, -1)])
    assert spread == Spread(count=101, min_ms=0.0, p5_ms=5.0, median_ms=50.0, p95_ms=95.0)


def test_the_machine_is_described_by_what_decides_about_speed():
    described = describe_machine("cpu")
    assert described["torch"] == torch.__version__.partition("+")[0] or described["torch"]
    assert described["torch_threads"] == str(torch.get_num_threads())
    assert {"openvino", "onnxruntime", "cpu", "cpu_flags", "governor", "commit"} <= set(described)
    assert all(isinstance(value, str) for value in described.values())


def test_processor_features_are_those_that_the_kernel_names(monkeypatch):
    text = "processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16 sse4_2\n\nprocessor\t: 1\n"
    monkeypatch.setattr(machine, "_read", lambda path: text)
    assert machine._cpu_flags() == ["avx2", "avx512_bf16"]


def test_outside_a_checkout_there_is_no_commit(monkeypatch):
    def missing(*_arguments, **_options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert machine._commit() == ""


def fake_cpu_times(monkeypatch, lines):
    monkeypatch.setattr(machine, "_read", lambda _path: lines.pop(0))


def test_time_that_other_programs_had_counts_and_own_time_does_not(monkeypatch):
    ticks = os.sysconf("SC_CLK_TCK")
    # 20 s of two cores: 8 s user, of which this process hardly has any, 2 s kept back.
    before = "cpu 0 0 0 0 0 0 0 0 0 0"
    after = f"cpu {8 * ticks} 0 0 {10 * ticks} 0 0 0 {2 * ticks} 0 0"
    fake_cpu_times(monkeypatch, [before, after])
    load = LoadMeter().read()
    assert load.others_share == pytest.approx(0.4, abs=0.05)
    assert load.steal_share == pytest.approx(0.1)
    assert "40%" in load.warning or "39%" in load.warning
    assert "busy" in load.warning


def test_own_work_and_that_of_ended_children_make_no_machine_busy(monkeypatch):
    ticks = os.sysconf("SC_CLK_TCK")
    fake_cpu_times(
        monkeypatch, ["cpu 0 0 0 0 0 0 0 0 0 0", f"cpu {ticks} 0 0 {9 * ticks} 0 0 0 0 0 0"]
    )
    meter = LoadMeter()
    work(0.5)
    child = multiprocessing.get_context("spawn").Process(target=work, args=(0.5,))
    child.start()
    child.join()
    assert meter.read().others_share < 0.05


def test_a_quiet_machine_gives_no_warning():
    assert MachineLoad(0.05, 0.01).warning == ""
    assert MachineLoad(0.05, 0.03).warning
    assert MachineLoad(0.2, 0.0).warning


def test_without_proc_the_machine_counts_as_quiet(monkeypatch):
    fake_cpu_times(monkeypatch, ["", ""])
    assert LoadMeter().read() == MachineLoad(0.0, 0.0)


def fresh_memory(size: int) -> mmap.mmap:
    """Pages from the kernel; the allocator may have some left that an earlier test freed."""
    pages = mmap.mmap(-1, size)
    pages[:: mmap.PAGESIZE] = b"\1" * (size // mmap.PAGESIZE)
    return pages


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_is_kept_and_memory_that_was_in_between():
    meter = MemoryMeter(torch.device("cpu"))
    kept = fresh_memory(40 << 20)
    fresh_memory(80 << 20).close()
    use = meter.read()
    assert kept[0] == 1
    assert 30 < use.resident_mib < 80
    assert use.peak_mib > 100
    assert use.cuda_peak_mib == 0
