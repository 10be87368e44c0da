"""Optional packages: the right command for the missing one."""

from __future__ import annotations

import sys

import pytest

from yolact_ros.dependencies import require
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
