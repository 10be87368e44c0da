"""Fixtures of the launch tests."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_packages import fake_package, fake_program
from launch_stand_in import launch_stand_in
from ros_fixtures import client, domain_id, ros_env, session_client, tiny_model

__all__ = ["client", "domain_id", "ros_env", "session_client", "tiny_model"]


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rviz files that the launch files write go away with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def stand_in() -> Iterator[None]:
    """Within the test, ``import launch`` gives the stand-in."""
    with launch_stand_in():
        yield


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs packages beside yolact_ros, which alone is there; their programs only sleep."""
    ament = pytest.importorskip("ament_index_python.packages", reason="ROS 2 is not here")
    prefixes = [str(tmp_path / "prefix")]
    with contextlib.suppress(LookupError):
        prefixes.append(ament.get_package_prefix("yolact_ros"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(prefixes))

    def add(package: str, executable: str = "", *command: str) -> None:
        folder = fake_package(tmp_path / "prefix", package)
        if executable:
            sleep: tuple[Any, ...] = (sys.executable, "-c", "import time; time.sleep(60)")
            fake_program(folder / executable, *(command or sleep))

    return add


@pytest.fixture
def launch_for_real(
    install: Callable[..., None], ros_env: dict[str, str], tmp_path: Path
) -> Callable[..., Any]:
    """Starts a launch file with the real launch; call it after ``install``."""
    pytest.importorskip("launch_ros.actions", reason="launch is on real ROS installs only")
    from launch_stand_in import LAUNCH
    from ros_processes import Process

    def start(file: str, **arguments: object) -> Process:
        environment = ros_env | {
            name: os.environ[name] for name in ("AMENT_PREFIX_PATH", "PATH", "PYTHONPATH")
        }
        program = str(Path(__file__).parent / "real_launch.py")
        words = [f"{name}:={value}" for name, value in arguments.items()]
        command = [sys.executable, program, str(LAUNCH / file), *words]
        return Process(command, environment, tmp_path / "launch.log")

    return start
