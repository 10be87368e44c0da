"""The machine that a benchmark runs on: what it has, and whether it does other work meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

import yolact_ros

__all__ = ["LoadMeter", "MachineLoad", "describe_environment", "describe_machine"]

# Those that decide what a network costs.
CPU_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "bf16",
    "i8mm",
)
PACKAGES = ("torch", "numpy", "opencv-python-headless", "pycocotools", "rosbags")
RUNTIME_PACKAGES = ("openvino", "nncf", "ncnn", "pnnx", "onnxruntime", "onnx")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
BUSY_SHARE = 0.1
STEAL_SHARE = 0.02
GIT_TIMEOUT_S = 5.0


def describe_environment(device: str = "") -> Mapping[str, str]:
    """Versions, processor, device and time; the machine's name tells two machines apart."""
    processor = _cpu_info("model name") or platform.processor() or platform.machine()
    return {
        "yolact_ros": yolact_ros.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "machine": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{processor}, {os.cpu_count()} logical cores",
        "device": _device(device),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def describe_machine(device: str = "") -> dict[str, str]:
    """Versions, processor and the features of it that matter here, governor, commit, device."""
    return {
        **describe_environment(device),
        **{package: _version(package) for package in RUNTIME_PACKAGES},
        "cpu_flags": " ".join(_cpu_flags()),
        "governor": _read(GOVERNOR),
        "torch_threads": str(torch.get_num_threads()),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "gomp_spincount": os.environ.get("GOMP_SPINCOUNT", ""),
        "load_average": _read(Path("/proc/loadavg")),
        "commit": _commit(),
    }


@dataclass(frozen=True)
class MachineLoad:
    """What else the machine did during a run.

    Attributes:
        others_share: share of all cores' time that other programs had, 0..1.
        steal_share: share that the hypervisor kept back, 0..1.
    """

    others_share: float
    steal_share: float

    @property
    def warning(self) -> str:
        """What to tell the user; empty if the machine was quiet."""
        if self.others_share < BUSY_SHARE and self.steal_share < STEAL_SHARE:
            return ""
        return (
            f"warning: the machine was busy: other programs had {self.others_share:.0%} of its "
            f"cores and the hypervisor {self.steal_share:.0%}; trust ratios, minima and CPU "
            "times, and repeat it on a quiet machine"
        )


class LoadMeter:
    """Watches from its making on; the work of this process and of ended children is not counted.

    Where /proc/stat cannot be read the machine counts as quiet.
    """

    def __init__(self) -> None:
        self._begun = _CpuTimes.now()

    def read(self) -> MachineLoad:
        """The load since the beginning."""
        now, begun = _CpuTimes.now(), self._begun
        total_s = now.total_s - begun.total_s
        if total_s <= 0.0:
            return MachineLoad(0.0, 0.0)
        others_s = (now.busy_s - begun.busy_s) - (now.own_s - begun.own_s)
        return MachineLoad(
            others_share=min(max(others_s / total_s, 0.0), 1.0),
            steal_share=min(max((now.steal_s - begun.steal_s) / total_s, 0.0), 1.0),
        )


@dataclass(frozen=True)
class _CpuTimes:
    total_s: float = 0.0
    busy_s: float = 0.0
    steal_s: float = 0.0
    own_s: float = 0.0

    @classmethod
    def now(cls) -> _CpuTimes:
        fields = _read(Path("/proc/stat")).partition("\n")[0].split()[1:9]
        if len(fields) < 8:
            return cls()
        ticks = os.sysconf("SC_CLK_TCK")
        user, nice, system, idle, iowait, irq, softirq, steal = (int(f) / ticks for f in fields)
        busy_s = user + nice + system + irq + softirq
        own = os.times()
        return cls(
            total_s=busy_s + idle + iowait + steal,
            busy_s=busy_s,
            steal_s=steal,
            own_s=own.user + own.system + own.children_user + own.children_system,
        )


def _cpu_info(*names: str) -> str:
    """The first line of one of these names in /proc/cpuinfo; empty without one."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def _cpu_flags() -> list[str]:
    present = set(_cpu_info("flags", "Features").split())
    return [flag for flag in CPU_FLAGS if flag in present]


def _device(device: str) -> str:
    if device in ("", "recorded"):
        return device or "cpu"
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return torch.cuda.get_device_name(None if device == "auto" else torch.device(device))
    return "cpu"


def _commit() -> str:
    """Of the checkout that this package lies in; empty outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        result = subprocess.run(
            command,
            cwd=Path(yolact_ros.__file__).parent,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
