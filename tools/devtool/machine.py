"""What the machine must have before a set-up begins, and whether it has a GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from devtool.problem import SetupProblem

__all__ = [
    "check_compiler",
    "check_free_space",
    "check_python",
    "has_nvidia_gpu",
    "python_include",
]


def python_include() -> Path:
    """Folder of this Python's C headers."""
    return Path(sysconfig.get_path("include", vars={"base": sys.base_prefix}))


def check_python() -> None:
    """Raises SetupProblem where this Python cannot make environments or lacks its headers."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    executable = sys.executable
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        raise SetupProblem(
            f"{executable} (Python {version}) lacks the modules venv or ensurepip, which make "
            "virtual environments.",
            f"sudo apt install python{version}-venv, or name another Python 3.11 or 3.12: "
            "PYTHON=/path/to/python3 ./dev ...",
        )
    header = python_include() / "Python.h"
    if not header.is_file():
        raise SetupProblem(
            f"{header} is missing: the messages are compiled against Python's C headers.",
            f"sudo apt install python{version}-dev (Fedora: python{version}-devel).",
        )


def check_compiler(environ: Mapping[str, str]) -> None:
    """Raises SetupProblem where there is no C or C++ compiler on PATH or in CC, CXX."""
    for language, variable, names in (
        ("C", "CC", ("cc", "gcc", "clang")),
        ("C++", "CXX", ("c++", "g++", "clang++")),
    ):
        named = environ.get(variable)
        wanted = (named.split()[0],) if named and named.split() else names
        if not any(shutil.which(name, path=environ.get("PATH")) for name in wanted):
            raise SetupProblem(
                f"no {language} compiler was found (looked for {', '.join(wanted)}): the "
                "messages are compiled.",
                f"sudo apt install build-essential, or set {variable} to your compiler.",
            )


def check_free_space(folder: Path, needed_mb: int) -> None:
    """Raises SetupProblem where the disk of `folder` has less than `needed_mb` megabytes."""
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < needed_mb:
        raise SetupProblem(
            f"the disk of {folder} has {free_mb / 1000:.1f} GB free; the rest of the set-up "
            f"needs {needed_mb / 1000:.1f} GB.",
            "free some space (`pip cache purge` often helps) or clone to a larger disk, then "
            "run the same command again: it goes on where it stopped.",
        )


def has_nvidia_gpu(environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """True where an NVIDIA driver is loaded (WSL included); YOLACT_ROS_TORCH=cpu|cuda decides.

    Raises SetupProblem for another value of that variable.
    """
    choice = environ.get("YOLACT_ROS_TORCH", "")
    if choice not in ("", "cpu", "cuda"):
        raise SetupProblem(
            f"YOLACT_ROS_TORCH is {choice!r}; expected cpu or cuda.",
            "unset it to let ./dev look for a GPU.",
        )
    if choice:
        return choice == "cuda"
    signs = ("dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia/version", "dev/dxg")
    return any(os.path.exists(root / sign) for sign in signs)
