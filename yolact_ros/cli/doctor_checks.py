"""What ``yolact doctor`` looks at on this computer; nothing here needs ROS."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from yolact_ros.errors import YolactError

__all__ = ["Finding", "Verdict", "check_device", "check_model", "check_packages", "check_shm"]

SHARED_MEMORY = Path("/dev/shm")
# Fast DDS names its segments so; a port is a few KB, a segment of our profile 16 MB.
SEGMENT_PATTERN = "fastrtps_*"
LEAST_FREE_SHM_MB = 64
MB = 1e6


class Verdict(Enum):
    """How a check ended; WRONG makes the exit code 1."""

    GOOD = "ok"
    NOTICE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        verdict: of the check.
        subject: what was looked at.
        detail: what was found.
        cure: what to do; empty where nothing is wrong.
    """

    verdict: Verdict
    subject: str
    detail: str
    cure: str = ""


def check_packages() -> Iterator[Finding]:
    """Python and the packages that the core needs."""
    yield Finding(Verdict.GOOD, "python", f"{platform.python_version()} on {platform.platform()}")
    for name in ("torch", "numpy", "safetensors"):
        try:
            yield Finding(Verdict.GOOD, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(Verdict.WRONG, name, "not installed", f"pip install {name}")
    try:
        import cv2
    except ImportError as error:
        yield Finding(Verdict.WRONG, "opencv", f"{error}", "pip install opencv-python-headless")
    else:
        yield Finding(Verdict.GOOD, "opencv", cv2.__version__)


def check_device() -> Finding:
    """The GPU that the network would run on, or why it would run on the CPU."""
    import torch

    if torch.cuda.is_available():
        memory_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
        return Finding(
            Verdict.GOOD, "device", f"{torch.cuda.get_device_name(0)}, {memory_gb:.0f} GB"
        )
    cores = len(os.sched_getaffinity(0))
    if shutil.which("nvidia-smi") is None:
        return Finding(Verdict.NOTICE, "device", f"CPU with {cores} cores, no NVIDIA driver")
    return Finding(
        Verdict.WRONG,
        "device",
        f"CPU with {cores} cores, although there is an NVIDIA driver: torch "
        f"{torch.__version__} has no working CUDA",
        "install a CUDA build of torch that fits the driver (nvidia-smi shows its version)",
    )


def check_model(name_or_path: str) -> Finding:
    """Whether the model is there and loads."""
    from yolact_ros.models.checkpoint import load_network
    from yolact_ros.models.zoo import find_model

    subject = f"model {name_or_path}"
    try:
        path = find_model(name_or_path)
        config = load_network(path).config
    except YolactError as error:
        return Finding(
            Verdict.WRONG, subject, f"{error}", "yolact models list shows what can be used"
        )
    return Finding(
        Verdict.GOOD,
        subject,
        f"{config.name}, {config.input_size_px} px, k {config.num_prototypes}, "
        f"{config.num_classes} classes, {path}",
    )


def check_shm(folder: Path = SHARED_MEMORY) -> Finding:
    """Room for Fast DDS's segments, and segments that killed processes left."""
    subject = f"shared memory {folder}"
    try:
        free_mb = shutil.disk_usage(folder).free / MB
        left_mb = sum(p.stat().st_size for p in folder.glob(SEGMENT_PATTERN)) / MB
    except OSError as error:
        return Finding(
            Verdict.NOTICE,
            subject,
            f"cannot be read: {error.strerror}",
            "in a container: --ipc=host",
        )
    detail = f"{free_mb:.0f} MB free, {left_mb:.0f} MB in Fast DDS segments"
    if free_mb < LEAST_FREE_SHM_MB:
        return Finding(
            Verdict.WRONG,
            subject,
            detail,
            "fastdds shm clean removes segments of killed processes; in a container: --ipc=host "
            "or --shm-size=256m",
        )
    return Finding(Verdict.GOOD, subject, detail)
