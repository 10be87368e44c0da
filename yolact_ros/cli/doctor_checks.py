"""What ``yolact doctor`` looks at on this computer; nothing here needs ROS."""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from yolact_ros.errors import YolactError
from yolact_ros.tracking.settings import TRACKERS

__all__ = [
    "Finding",
    "Verdict",
    "check_cpu",
    "check_device",
    "check_discovery",
    "check_model",
    "check_packages",
    "check_runtimes",
    "check_shm",
    "check_trackers",
    "good",
    "notice",
    "wrong",
]

SHARED_MEMORY = Path("/dev/shm")
# Fast DDS names its segments so; a port is a few KB, a segment of our profile 16 MB.
SEGMENT_PATTERN = "fastrtps_*"
# A process holds a lock on this file beside each segment of its own for as long as it lives.
LOCK_SUFFIX = "_el"
PORT_PREFIX = "fastrtps_port"
LEAST_FREE_SHM_MB = 64
CPU_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
# Above it DDS's ports reach into those that Linux hands out to clients, above 232 there are none.
LAST_SAFE_DOMAIN = 101
LAST_DOMAIN = 232
DISCOVERY_RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
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
        cure: what to do; empty where nothing is wrong.
    """

    verdict: Verdict
    subject: str
    detail: str
    cure: str = ""


good = partial(Finding, Verdict.GOOD)
notice = partial(Finding, Verdict.NOTICE)
wrong = partial(Finding, Verdict.WRONG)


def check_packages() -> Iterator[Finding]:
    """Python and the packages that the core needs."""
    yield good("python", f"{platform.python_version()} on {platform.platform()}")
    for name in ("torch", "numpy", "safetensors"):
        try:
            yield good(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield wrong(name, "not installed", f"pip install {name}")
    try:
        import cv2
    except ImportError as error:
        yield wrong("opencv", f"{error}", "pip install opencv-python-headless")
    else:
        yield good("opencv", cv2.__version__)


def check_device() -> Finding:
    """The GPU that the network would run on, or why it would run on the CPU."""
    import torch

    if torch.cuda.is_available():
        memory_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
        return good("device", f"{torch.cuda.get_device_name(0)}, {memory_gb:.0f} GB")
    cores = len(os.sched_getaffinity(0))
    if shutil.which("nvidia-smi") is None:
        return notice("device", f"CPU with {cores} cores, no NVIDIA driver")
    return wrong(
        "device",
        f"CPU with {cores} cores, although there is an NVIDIA driver: torch "
        f"{torch.__version__} has no working CUDA",
        "install a CUDA build of torch that fits the driver (nvidia-smi shows its version)",
    )


def check_cpu(governor: Path = CPU_GOVERNOR) -> Iterator[Finding]:
    """Whether the CPU may run at full speed; nothing where the system does not say."""
    try:
        name = governor.read_text().strip()
    except OSError:
        return
    if name == "powersave":
        yield notice(
            "cpu",
            "the frequency governor is powersave, so that times are long and vary",
            "sudo cpupower frequency-set -g performance",
        )
    else:
        yield good("cpu", f"frequency governor {name}")


def check_runtimes() -> Finding:
    """What the parameter ``runtime`` can choose from here."""
    there = ["eager"]
    if shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++"):
        there.append("compiled")
    packages = ("openvino", "ncnn", "onnxruntime")
    there += [name for name in packages if importlib.util.find_spec(name)]
    return good("runtimes", ", ".join(there))


def check_trackers() -> Finding:
    """Whether the parameter ``tracker`` can be anything but none."""
    from yolact_ros.tracking import Tracker, TrackerSettings

    try:
        Tracker(TrackerSettings())
    except YolactError as error:
        return notice("trackers", f"{error}", "pip install scipy")
    return good("trackers", ", ".join(TRACKERS))


def check_discovery(environment: Mapping[str, str] = os.environ) -> Finding:
    """Which other ROS processes this one can see."""
    domain = environment.get("ROS_DOMAIN_ID", "") or "0"
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "") or "SUBNET"
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        reach = "LOCALHOST"
    subject, detail = "discovery", f"domain {domain}, range {reach}"
    if not domain.isdecimal() or int(domain) > LAST_DOMAIN:
        return wrong(
            subject,
            f"ROS_DOMAIN_ID is {domain!r}",
            f"a whole number of 0 to {LAST_SAFE_DOMAIN}, the same in all terminals",
        )
    if reach not in DISCOVERY_RANGES:
        return wrong(
            subject,
            f"ROS_AUTOMATIC_DISCOVERY_RANGE is {reach!r}",
            f"one of {', '.join(DISCOVERY_RANGES)}",
        )
    if int(domain) > LAST_SAFE_DOMAIN:
        return notice(
            subject,
            f"{detail}: its ports may be taken by other programs",
            f"a ROS_DOMAIN_ID of 0 to {LAST_SAFE_DOMAIN}",
        )
    if reach in ("LOCALHOST", "OFF"):
        return notice(
            subject,
            f"{detail}: {'no other process is' if reach == 'OFF' else 'other computers are not'} "
            "seen",
            "unset ROS_LOCALHOST_ONLY, export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET, if a camera "
            "is elsewhere",
        )
    return good(subject, detail)


def check_model(name_or_path: str) -> Finding:
    """Whether the model is there and loads."""
    from yolact_ros.models.checkpoint import load_network
    from yolact_ros.models.zoo import find_model

    subject = f"model {name_or_path}"
    try:
        path = find_model(name_or_path)
        config = load_network(path).config
    except YolactError as error:
        return wrong(subject, f"{error}", "yolact models list shows what can be used")
    return good(
        subject,
        f"{config.name}, {config.input_size_px} px, k {config.num_prototypes}, "
        f"{config.num_classes} classes, {path}",
    )


def check_shm(folder: Path = SHARED_MEMORY) -> Finding:
    """Room for Fast DDS's segments, and segments that killed processes left."""
    subject = f"shared memory {folder}"
    try:
        free_mb = shutil.disk_usage(folder).free / MB
        used_mb = sum(_bytes(path) for path in folder.glob(SEGMENT_PATTERN)) / MB
        left = [segment for segment in _segments(folder) if _is_left(segment)]
        left_mb = sum(_bytes(segment) for segment in left) / MB
    except OSError as error:
        return notice(subject, f"cannot be read: {error.strerror}", "in a container: --ipc=host")
    detail = f"{free_mb:.0f} MB free, {used_mb:.0f} MB in Fast DDS segments"
    if free_mb < LEAST_FREE_SHM_MB:
        return wrong(
            subject,
            detail,
            "fastdds shm clean removes segments of killed processes; in a container: --ipc=host "
            "or --shm-size=256m",
        )
    if left:
        return notice(
            subject,
            f"{detail}, {left_mb:.0f} of them in {len(left)} left by killed processes",
            "fastdds shm clean",
        )
    return good(subject, detail)


def _bytes(path: Path) -> int:
    """Size of a file; 0 for one that went away in the meantime, as segments do."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _segments(folder: Path) -> Iterator[Path]:
    """Segments with images and other data, without the small ones of ports and the locks."""
    for path in folder.glob(SEGMENT_PATTERN):
        if not path.name.endswith(LOCK_SUFFIX) and not path.name.startswith(PORT_PREFIX):
            yield path


def _is_left(segment: Path) -> bool:
    """Whether the process that made the segment is gone: nobody holds its lock."""
    try:
        with segment.with_name(segment.name + LOCK_SUFFIX).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
