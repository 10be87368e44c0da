"""Packages of other people in an ament index: found by name, with programs that tests provide."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

__all__ = ["fake_package", "fake_program", "fake_rosbag2"]


def fake_package(prefix: Path, name: str) -> Path:
    """Install an empty package; returns the folder of its executables."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / name).touch()
    executables = prefix / "lib" / name
    executables.mkdir(parents=True, exist_ok=True)
    return executables


def fake_program(path: Path, *command: str) -> None:
    """A program that runs ``command`` with its own arguments behind it."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    os.chmod(path, 0o755)


def fake_rosbag2(folder: Path) -> dict[str, str]:
    """The stand-in of ``ros2 bag`` on PATH, its package and its services.

    Returns:
        the environment variables by which it is found before everything else.
    """
    fake_package(folder, "ros2bag")
    (folder / "bin").mkdir()
    fake_program(
        folder / "bin" / "ros2", sys.executable, str(Path(__file__).parent / "ros2_bag.py")
    )
    services = folder / "python" / "rosbag2_interfaces" / "srv"
    services.mkdir(parents=True)
    # As rosbag2's, it has no fields.
    (services / "__init__.py").write_text("from std_srvs.srv import Empty as Resume\n")
    found = {"PATH": "bin", "PYTHONPATH": "python", "AMENT_PREFIX_PATH": "."}
    return {
        name: os.pathsep.join(filter(None, [str(folder / part), os.environ.get(name, "")]))
        for name, part in found.items()
    }
