"""What a measurement was made with."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

import yolact_ros

__all__ = ["describe_environment"]

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "pycocotools", "rosbags")


def describe_environment(device: str = "") -> Mapping[str, str]:
    """Versions, processor, device and time; the machine's name tells two machines apart."""
    return {
        "yolact_ros": yolact_ros.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "machine": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{_processor()}, {os.cpu_count()} logical cores",
        "device": _device(device),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _device(device: str) -> str:
    if device in ("", "recorded"):
        return device or "cpu"
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return torch.cuda.get_device_name(None if device == "auto" else torch.device(device))
    return "cpu"
