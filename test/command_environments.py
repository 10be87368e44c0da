"""Our commands as a user has them: installed by colcon, and by pip into a fresh environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from command_pages import ROOT
from devtool.environment import build_environment
from devtool.layout import Layout
from devtool.ros import find_ros

__all__ = ["FRESH_VARIABLE", "Installed", "colcon_install", "pip_install"]

FRESH_VARIABLE = "YOLACT_ROS_TEST_FRESH_PIP"
"""Set: torch and all other packages are downloaded, as before a release. Gigabytes."""

EXTRAS = "train,evaluate,benchmark,bag,pascal,openvino,ncnn,onnx"
OURS_ON_PATHS = (ROOT / "scripts", ROOT / ".dev")
PATHS = ("PATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH")
TIMEOUT_S = 480.0


@dataclass(frozen=True)
class Installed:
    """An environment with our commands on PATH.

    Attributes:
        environment: of a shell in it.
        first: shell code that a user has in each terminal, such as sourcing a setup file.
    """

    environment: Mapping[str, str]
    first: str = ":"

    def command(self, line: str) -> list[str]:
        """What runs a line in a shell, in place of which the line's program then runs."""
        return ["bash", "-c", f"{self.first}; {line}"]

    def run(self, line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a line in a folder, without standard input, and keep what it says."""
        return subprocess.run(
            self.command(line),
            cwd=folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )


def _outside() -> dict[str, str]:
    """The environment around `./dev`, as far as our own package is concerned."""
    env = dict(os.environ)
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        env.pop(name, None)
    for name in PATHS:
        entries = env.get(name, "").split(os.pathsep)
        kept = [e for e in entries if not any(Path(e).is_relative_to(p) for p in OURS_ON_PATHS)]
        env[name] = os.pathsep.join(kept)
    return env


def colcon_install(prefix: Path) -> Installed:
    """Install what colcon built, with the modules as they are now, and source it as users do."""
    ros = find_ros(os.environ)
    layout = Layout(ROOT, ros.flavour)
    env = build_environment(layout, ros, _outside())
    build = layout.colcon / "build" / "yolact_ros"
    command = ["cmake", "--install", str(build), "--prefix", str(prefix)]
    subprocess.run(command, env=env, check=True, capture_output=True)
    setup = shlex.quote(str(prefix / "share" / "yolact_ros" / "local_setup.bash"))
    return Installed(env, f"source {setup}")


def pip_install(folder: Path) -> Installed:
    """Make a virtual environment and let pip build, check and install our package.

    Unless :data:`FRESH_VARIABLE` is set, the packages that ours depends on are those of the
    checkout's environment: pip finds them all there or fails, since it has no index.
    """
    source, venv = folder / "source", folder / "venv"
    for name in ("yolact_ros", "config", "models", "msg"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    env = {
        name: value
        for name, value in _outside().items()
        if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "CI") or name.endswith("_proxy")
    } | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    env["PATH"] = os.pathsep.join([str(venv / "bin"), env["PATH"]])
    python = str(venv / "bin" / "python")
    wanted = f"{source}[{EXTRAS}]"
    make = [sys.executable, "-m", "venv", str(venv)]
    pip = [python, "-m", "pip", "install", "--quiet"]
    if os.environ.get(FRESH_VARIABLE):
        commands = [make, [*pip, "-r", str(ROOT / "requirements" / "torch.txt")], [*pip, wanted]]
    else:
        _show_packages(venv, folder / "packages")
        commands = [
            [*make, "--without-pip"],
            [*pip, "--no-index", "--no-build-isolation", wanted],
        ]
    for command in commands:
        subprocess.run(command, env=env, check=True)
    return Installed(env)


def _show_packages(venv: Path, folder: Path) -> None:
    """Let an environment see the checkout's packages but those of ROS."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder.mkdir()
    for site in map(Path, dict.fromkeys(p for p in sys.path if p.endswith("-packages"))):
        if site.is_relative_to(ROOT / ".dev"):
            continue
        ros = {
            file.parts[0]
            for package in distributions(path=[str(site)])
            if re.match(r"ros[-_]", package.metadata["Name"])
            for file in package.files or ()
        }
        for entry in site.iterdir():
            left_out = entry.name in ros or entry.suffix == ".pth"
            if not left_out and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    packages = venv / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "checkout.pth").write_text(f"{folder}\n")
