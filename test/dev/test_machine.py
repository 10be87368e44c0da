"""What the machine lacks is said before anything is downloaded."""

from __future__ import annotations

import importlib.util
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from devtool import machine
from devtool.problem import SetupProblem

Usage = namedtuple("Usage", "total used free")


def test_a_missing_compiler_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"(?s)no C compiler.*apt install build-essential"):
        machine.check_compiler({"PATH": str(tmp_path)})


def test_a_c_compiler_alone_is_not_enough(tmp_path: Path) -> None:
    compiler = tmp_path / "gcc"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    with pytest.raises(SetupProblem, match=r"no C\+\+ compiler"):
        machine.check_compiler({"PATH": str(tmp_path)})


def test_a_compiler_named_by_the_user_must_exist(tmp_path: Path) -> None:
    for name in ("cc", "c++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    machine.check_compiler({"PATH": str(tmp_path)})
    machine.check_compiler({"PATH": str(tmp_path), "CC": "cc -m64"})
    with pytest.raises(SetupProblem, match=r"looked for nvcc99"):
        machine.check_compiler({"PATH": str(tmp_path), "CXX": "nvcc99"})


def test_a_full_disk_is_refused_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**11, 0, 1_200_000_000))
    machine.check_free_space(tmp_path, 1200)
    with pytest.raises(SetupProblem, match=r"(?s)1\.2 GB free.*needs 3\.0 GB.*Cure: free some"):
        machine.check_free_space(tmp_path, 3000)


def test_python_without_venv_is_refused_with_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine.check_python()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupProblem, match=r"(?s)venv or ensurepip.*apt install python3\.1.-venv"):
        machine.check_python()


def test_python_without_headers_is_refused_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "python_include", lambda: tmp_path)
    with pytest.raises(SetupProblem, match=r"(?s)Python\.h is missing.*python3\.1.-dev"):
        machine.check_python()


@pytest.mark.parametrize(
    "sign", ["dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia/version", "dev/dxg"]
)
def test_a_gpu_is_seen_by_its_driver(tmp_path: Path, sign: str) -> None:
    assert not machine.has_nvidia_gpu({}, tmp_path)
    (tmp_path / sign).parent.mkdir(parents=True)
    (tmp_path / sign).touch()
    assert machine.has_nvidia_gpu({}, tmp_path)
    assert not machine.has_nvidia_gpu({"YOLACT_ROS_TORCH": "cpu"}, tmp_path)


def test_the_user_decides_on_the_torch_build(tmp_path: Path) -> None:
    assert machine.has_nvidia_gpu({"YOLACT_ROS_TORCH": "cuda"}, tmp_path)
    with pytest.raises(SetupProblem, match=r"'gpu'; expected cpu or cuda"):
        machine.has_nvidia_gpu({"YOLACT_ROS_TORCH": "gpu"}, tmp_path)
