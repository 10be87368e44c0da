"""The two installations, and the files that the commands work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_environments import Installed, colcon_install, pip_install
from command_inputs import write_inputs
from command_pages import ROOT
from ros_fixtures import tiny_model

__all__ = ["tiny_model"]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Written once; tests work on copies."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder, tiny_model)
    return folder


@pytest.fixture
def folder(inputs: Path, tmp_path: Path) -> Path:
    """A user's folder: files, and a checkout's ./dev."""
    folder = tmp_path / "a user's folder"
    shutil.copytree(inputs, folder)
    dev = folder / "dev"
    dev.write_text(f'#!/bin/sh\nexec "{ROOT}/dev" "$@"\n')
    dev.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def colcon(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As `colcon build` leaves it."""
    return colcon_install(tmp_path_factory.mktemp("colcon") / "install")


@pytest.fixture(scope="session")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As `pip install .[...]` leaves it."""
    return pip_install(tmp_path_factory.mktemp("pip"))
