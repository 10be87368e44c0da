"""Optional packages: the right command for the missing one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from yolact_ros.dependencies import _PACKAGE_NAMES, require, required_packages
from yolact_ros.errors import DependencyError


def test_an_installed_module_is_returned():
    assert require("os.path", extra="train") is sys.modules["os.path"]


def test_a_missing_module_gets_the_command_with_its_package_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "skvideo", None)
    with pytest.raises(DependencyError, match="pip install scikit-video"):
        require("skvideo", extra="train")
    with pytest.raises(DependencyError, match=r"'\.\[openvino\]'"):
        require("no_such_module", extra="openvino")


def test_a_module_that_lacks_another_one_names_that_one(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DependencyError, match="needs the missing module no_such_module"):
        require("half_installed", extra="train")


def test_a_module_that_fails_to_load_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("raise OSError('libfoo.so: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DependencyError, match=r"libfoo\.so: cannot open"):
        require("broken", extra="train")


ROOT = Path(__file__).parents[1]
WITHOUT = """
import runpy, sys
program, module, *sys.argv[1:] = sys.argv[1:]
sys.modules[module] = None
runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.parametrize("module", ["torch", "safetensors"])
@pytest.mark.parametrize("command", ["yolact_node", "yolact models show bundled", "yolact doctor"])
def test_a_program_without_a_package_of_pip_says_in_one_line_how_to_get_it(command, module):
    program, *arguments = command.split()
    if program == "yolact_node":
        pytest.importorskip("rclpy", reason="ROS 2 is not here")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(ROOT / "scripts" / program), module, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"has no package {module}" in line
    assert "virtual environment" in line
    assert f"pip install {module}" in line


@pytest.mark.parametrize(
    ("module", "bag", "cure"),
    [
        ("ray", "drive --ray auto", "pip install 'ray[client]==2.60.0'"),
        ("s3fs", "s3://bucket/drive", "pip install '.[fleet]'"),
        ("gcsfs", "gs://bucket/drive", "pip install '.[fleet]'"),
        ("aiohttp", "http://host/drive", "pip install '.[fleet]'"),
    ],
)
def test_a_fleet_without_its_packages_says_in_one_line_how_to_get_them(module, bag, cure):
    pytest.importorskip("fsspec", reason="it comes with torch")
    program = str(ROOT / "scripts" / "yolact")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, program, module, "bag", "evaluate", *bag.split()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert module in line
    assert cure in line


def test_ray_is_the_version_of_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = [name for name in project["optional-dependencies"]["fleet"] if "ray" in name]
    assert wanted == _PACKAGE_NAMES["ray"]


def test_every_required_package_of_pip_has_that_cure():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
    for dependency in project["dependencies"]:
        package = re.match(r"[\w-]+", dependency).group()
        module = modules.get(package, package)
        with pytest.raises(DependencyError, match=f"pip install {package}"), required_packages():
            raise ModuleNotFoundError(name=module)


def test_a_module_of_our_own_that_is_missing_is_a_fault_and_shown_as_one():
    with pytest.raises(ModuleNotFoundError), required_packages():
        raise ModuleNotFoundError(name="yolact_ros.no_such_module")
