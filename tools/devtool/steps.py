"""The set-up steps, in order; each is done once for its inputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devtool import machine, packages
from devtool.environment import base_environment, build_environment
from devtool.layout import PACKAGE, Layout
from devtool.problem import SetupProblem
from devtool.progress import StepLine, run_logged
from devtool.ros import RosSource, repair_cmake_exports
from devtool.stamp import Stamp, fingerprint

__all__ = ["Step", "Steps"]

_TORCH_CUDA_EXTRA_MB = 6000


@dataclass(frozen=True)
class Step:
    """One step: `run(line, redo)` does it and returns a note for its progress line.

    `redo` is true where an earlier run was cut short in it. `needs_mb`: free disk space it
    takes, in megabytes, measured.
    """

    name: str
    title: str
    fingerprint: str
    needs_mb: int
    run: Callable[[StepLine, bool], str]


@dataclass(frozen=True)
class Steps:
    """Builds the steps of one checkout; `executable` is the Python outside any environment.

    `with_tests`: also what only the tests and a fleet need. Once there it is kept up to date.
    """

    layout: Layout
    ros: RosSource
    environ: Mapping[str, str]
    executable: str
    with_tests: bool = False

    def all(self) -> list[Step]:
        """Every step, in the order in which they must be done."""
        gpu = machine.has_nvidia_gpu(self.environ)
        venv = fingerprint(
            str(self.layout.root),
            str(Path(self.executable).resolve()),
            sys.version_info[:2],
            files=[self._locked("pip")],
        )
        # The CUDA build also works without a GPU, so it stays when the GPU is taken away.
        torch_cuda = fingerprint(venv, "cuda", files=[self._locked("torch")])
        cuda = gpu or Stamp(self.layout.stamps, "torch").matches(torch_cuda)
        torch = torch_cuda if cuda else fingerprint(venv, "cpu", files=[self._locked("torch")])
        python = fingerprint(venv, files=[self._locked("python"), self._locked("demo")])
        runtimes = fingerprint(venv, files=[self._locked("runtimes")])
        ros_files = [] if self.ros.sourced else [self._locked(f"ros-{self.ros.distro}")]
        ros = fingerprint(venv, self.ros.flavour, files=ros_files)
        steps = [
            Step("venv", f"virtual environment {self.layout.venv.name}", venv, 50, self._venv),
            Step(
                "torch",
                f"torch ({'CUDA' if cuda else 'CPU'} build)",
                torch,
                1200 + (_TORCH_CUDA_EXTRA_MB if cuda else 0),
                self._torch_cuda if cuda else self._torch_cpu,
            ),
            Step("python", "Python packages", python, 800, self._python),
            Step(
                "ros",
                str(self.ros),
                ros,
                450,
                self._ros_sourced if self.ros.sourced else self._ros_wheels,
            ),
            Step(
                "runtimes",
                "OpenVINO, ncnn and ONNX Runtime",
                runtimes,
                570,
                partial(self._packages, "runtimes"),
            ),
        ]
        if self.with_tests or Stamp(self.layout.stamps, "tests").was_begun():
            tests = fingerprint(venv, files=[self._locked("tests")])
            run = partial(self._packages, "tests")
            steps.append(Step("tests", "tools of the tests, Ray and S3", tests, 400, run))
        build = fingerprint(venv, ros, files=self.build_inputs())
        steps.append(Step("build", "messages and package (colcon)", build, 50, self._colcon))
        return steps

    def build_inputs(self) -> list[Path]:
        """The files whose change needs a new colcon build; Python modules are none of them."""
        root = self.layout.root
        inputs = [root / "CMakeLists.txt", root / "package.xml"]
        for folder in ("msg", "srv", "launch", "config", "include", "scripts"):
            files = (path for path in (root / folder).rglob("*") if path.is_file())
            # Python leaves some where a launch file was read.
            inputs += sorted(path for path in files if path.parent.name != "__pycache__")
        return inputs

    def stamp(self, step: Step) -> Stamp:
        """The record of `step`."""
        return Stamp(self.layout.stamps, step.name)

    def _locked(self, name: str) -> Path:
        return self.layout.root / "requirements" / f"{name}.txt"

    def _pip(self, name: str) -> packages.Pip:
        env = base_environment(self.layout, self.ros, self.environ)
        # setuptools, for one, is needed by torch too, which would take its newest, pytest by ROS.
        locks = ("pip", "torch", "python", "runtimes", "tests")
        constraints = tuple(self._locked(other) for other in locks)
        log = self.layout.logs / f"{name}.log"
        return packages.Pip(self.layout.python, env, log, constraints)

    def _venv(self, line: StepLine, redo: bool) -> str:
        folder = self.layout.venv
        if folder.exists():
            if not self.layout.stamps.is_dir():
                raise SetupProblem(
                    f"{folder} exists and was not made by ./dev.",
                    f"move it away or delete it (rm -r {folder}), then run the same command.",
                )
            # Renamed first: a half-deleted folder would no longer be known as ours.
            old = self.layout.state / "old-environment"
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        # The folder is marked as ours before anything is in it.
        Stamp(self.layout.stamps, "venv").begin()
        options = ["--system-site-packages"] if self.ros.sourced else []
        env = base_environment(self.layout, self.ros, self.environ)
        log = self.layout.logs / "venv.log"
        command = [self.executable, "-m", "venv", *options, str(folder)]
        status, _ = run_logged(command, log, env, line)
        if status != 0:
            raise SetupProblem(
                f"{self.executable} could not make {folder} (its output: {log}).",
                "install that Python's venv package, or name another Python: PYTHON=... ./dev",
            )
        self._pip("venv").install(self._locked("pip"), line=line)
        return "earlier one was unfinished, made anew" if redo else ""

    def _torch_cuda(self, line: StepLine, redo: bool) -> str:
        # To pip the CPU build is the same version, and it would stay.
        cpu_build = any(self.layout.venv.glob("lib/python3*/site-packages/torch-*+cpu.dist-info"))
        self._pip("torch").install(self._locked("torch"), line=line, redo=redo or cpu_build)
        return ""

    def _torch_cpu(self, line: StepLine, redo: bool) -> str:
        pip = self._pip("torch")
        options: list[str] = []
        note = ""
        line.tick("asking the package index")
        wanted = next(
            text for text in self._locked("torch").read_text().split() if text.startswith("torch=")
        )
        # PyPI's own file is the CUDA build; a mirror or a wheel folder may hold the CPU one.
        if "%2Bcpu" not in (url := pip.resolves_to(wanted)) and "+cpu" not in url:
            if packages.answers(packages.TORCH_CPU_INDEX + "/"):
                options = ["--extra-index-url", packages.TORCH_CPU_INDEX]
            elif url:
                machine.check_free_space(self.layout.root, _TORCH_CUDA_EXTRA_MB)
                note = f"CUDA build: {packages.TORCH_CPU_INDEX} cannot be reached"
        pip.install(self._locked("torch"), line=line, options=options, redo=redo)
        return note

    def _python(self, line: StepLine, redo: bool) -> str:
        pip = self._pip("python")
        pip.install(self._locked("python"), line=line, redo=redo)
        pip.install(self._locked("demo"), line=line, options=["--no-deps"], redo=redo)
        return ""

    def _packages(self, name: str, line: StepLine, redo: bool) -> str:
        self._pip(name).install(self._locked(name), line=line, redo=redo)
        return ""

    def _ros_wheels(self, line: StepLine, redo: bool) -> str:
        self._pip("ros").install(self._locked(f"ros-{self.ros.distro}"), line=line, redo=redo)
        env = base_environment(self.layout, self.ros, self.environ)
        numpy = subprocess.run(
            [str(self.layout.python), "-c", "import numpy; print(numpy.get_include())"],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        include = Path(numpy.stdout.strip())
        repair_cmake_exports(self.layout.venv, machine.python_include(), include)
        return ""

    def _ros_sourced(self, line: StepLine, redo: bool) -> str:
        env = build_environment(self.layout, self.ros, self.environ)
        for program, cure in (
            ("cmake", "sudo apt install cmake build-essential"),
            ("colcon", "sudo apt install python3-colcon-common-extensions"),
        ):
            if shutil.which(program, path=env["PATH"]) is None:
                raise SetupProblem(
                    f"{self.ros} has no {program}, which builds the messages.", f"{cure}."
                )
        return "used as it is"

    def _colcon(self, line: StepLine, redo: bool) -> str:
        machine.check_compiler(self.environ)
        base = self.layout.colcon
        if redo:
            shutil.rmtree(base, ignore_errors=True)
        log = self.layout.logs / "build.log"
        command = [
            *("colcon", "--log-base", str(base / "log"), "build"),
            *("--base-paths", str(self.layout.root), "--packages-select", PACKAGE),
            *("--build-base", str(base / "build"), "--install-base", str(base / "install")),
            *("--event-handlers", "console_direct+", "--cmake-args"),
            *("-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={self.layout.python}"),
        ]
        if not self.ros.sourced:
            command += ["-G", "Ninja"]
        env = build_environment(self.layout, self.ros, self.environ)
        program = shutil.which(command[0], path=env["PATH"])
        if program is None:
            raise SetupProblem(
                "colcon is missing from the environment.", "./dev clean, then again."
            )
        status, output = run_logged([program, *command[1:]], log, env, line)
        if status != 0:
            tail = "\n".join(f"    {text}" for text in output.strip().splitlines()[-15:])
            raise SetupProblem(
                f"colcon could not build the package. The end of {log}:\n{tail}",
                "mend what it names; after a change of compiler, `./dev clean` starts afresh.",
            )
        return ""
