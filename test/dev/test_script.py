"""`./dev` as a user runs it, where it cannot go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout's set-up part in a folder whose name has a space."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    shutil.copy(ROOT / "dev", folder)
    for name in ("tools", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def dev(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    drop = ("ROS_DISTRO", "CC", "CXX", "PYTHONPATH", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in drop}
    return subprocess.run(
        [str(folder / "dev"), *arguments],
        env={**env, "PYTHON": sys.executable, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_help_needs_no_set_up(clone: Path) -> None:
    done = dev(clone, "help")
    assert done.returncode == 0
    for command in ("demo", "test", "run CMD", "shell", "build", "clean"):
        assert f"\n  {command}" in done.stdout
    assert not (clone / ".venv").exists()
    assert not (clone / ".dev").exists()


def test_an_unknown_command_is_named(clone: Path) -> None:
    done = dev(clone, "tset")
    assert done.returncode == 2
    assert "no command 'tset'" in done.stderr
    assert "Cure: ./dev help" in done.stderr


def test_no_suitable_python_is_said_with_the_cure(clone: Path) -> None:
    done = dev(clone, "test", PYTHON="/bin/false")
    assert done.returncode == 2
    assert "no Python 3.11 or 3.12 was found (looked at: PYTHON=/bin/false)" in done.stderr
    assert "sudo apt install python3.12 python3.12-venv python3.12-dev" in done.stderr


def test_a_python_that_refuses_to_run_is_passed_over(clone: Path, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "python3").write_text("#!/bin/sh\necho not installed >&2\nexit 127\n")
    (bin_folder / "python3").chmod(0o755)
    (bin_folder / "python3.12").symlink_to(sys.executable)
    done = dev(clone, "help", PYTHON="", PATH=f"{bin_folder}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr


def test_a_sourced_ros_without_its_python_is_said(clone: Path) -> None:
    done = dev(clone, "test", ROS_DISTRO="humble", PYTHON="/bin/false")
    assert done.returncode == 2
    assert "can import rclpy of ROS 2 humble" in done.stderr
    assert "needs ROS 2 Jazzy or newer" in done.stderr


def test_a_missing_compiler_stops_before_anything_is_made(clone: Path) -> None:
    done = dev(clone, "run", "true", CXX="no-such-compiler")
    assert done.returncode == 2
    assert "no C++ compiler was found (looked for no-such-compiler)" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_foreign_environment_is_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / "mine").touch()
    done = dev(clone, "run", "true")
    assert done.returncode == 2
    assert "was not made by ./dev" in done.stderr
    assert (clone / ".venv" / "mine").exists()


def test_no_network_is_said_with_the_log_and_the_cure(clone: Path) -> None:
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    done = dev(clone, "run", "true", **offline)
    assert done.returncode == 2
    assert "[1/6] virtual environment .venv ... failed" in done.stderr
    assert "the package index cannot be reached" in done.stderr
    assert f"{clone}/.dev/logs/venv.log" in done.stderr
    assert "Cure: check the network" in done.stderr
    assert "Traceback" not in done.stderr


def test_clean_removes_what_set_up_made_and_nothing_else(clone: Path) -> None:
    (clone / ".venv" / ".dev").mkdir(parents=True)
    (clone / ".dev" / "logs").mkdir(parents=True)
    (clone / ".venv-mine").mkdir()
    done = dev(clone, "clean")
    assert done.returncode == 0, done.stderr
    assert not (clone / ".venv").exists()
    assert not (clone / ".dev" / "logs").exists()
    assert (clone / ".venv-mine").exists()
    assert (clone / "requirements" / "torch.txt").exists()
