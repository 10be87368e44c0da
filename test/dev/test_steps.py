"""The steps of a checkout: what each depends on, and the programs they run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from devtool import packages
from devtool.layout import Layout
from devtool.problem import SetupProblem
from devtool.progress import StepLine
from devtool.ros import RosSource
from devtool.steps import Steps

WHEELS = RosSource("jazzy", sourced=False)
KILTED = RosSource("kilted", sourced=True)
LOCKS = ("pip", "torch", "python", "demo", "runtimes", "tests", "ros-jazzy")


def checkout(root: Path, ros: RosSource = WHEELS, **environ: str) -> Steps:
    for name in LOCKS:
        path = root / "requirements" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}==1\n")
    for name in ("CMakeLists.txt", "package.xml", "msg/Instance.msg", "yolact_ros/config.py"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    environment = {"PATH": os.environ["PATH"], "YOLACT_ROS_TORCH": "cpu", **environ}
    return Steps(Layout(root, ros.flavour), ros, environment, "/usr/bin/python3")


def fingerprints(steps: Steps) -> dict[str, str]:
    return {step.name: step.fingerprint for step in steps.all()}


def changed(steps: Steps, path: str) -> set[str]:
    """Names of the steps that a change of `path` makes necessary."""
    before = fingerprints(steps)
    file = steps.layout.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("changed")
    after = fingerprints(steps)
    return {name for name in after if after[name] != before[name]}


def test_steps_come_in_the_order_in_which_they_need_each_other(tmp_path: Path) -> None:
    names = [step.name for step in checkout(tmp_path).all()]
    assert names == ["venv", "torch", "python", "ros", "runtimes", "build"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("requirements/torch.txt", {"torch"}),
        ("requirements/python.txt", {"python"}),
        ("requirements/demo.txt", {"python"}),
        ("requirements/runtimes.txt", {"runtimes"}),
        ("requirements/tests.txt", set()),
        ("requirements/ros-jazzy.txt", {"ros", "build"}),
        ("requirements/pip.txt", {"venv", "torch", "python", "ros", "runtimes", "build"}),
        ("msg/Instance.msg", {"build"}),
        ("msg/New.msg", {"build"}),
        ("srv/New.srv", {"build"}),
        ("CMakeLists.txt", {"build"}),
        ("package.xml", {"build"}),
        ("yolact_ros/config.py", set()),
        ("yolact_ros/new.py", set()),
        ("launch/__pycache__/demo.launch.cpython-311.pyc", set()),
    ],
)
def test_a_change_costs_only_the_steps_that_depend_on_it(
    tmp_path: Path, path: str, expected: set[str]
) -> None:
    assert changed(checkout(tmp_path), path) == expected


def test_what_only_tests_need_waits_for_them_and_is_kept_up_to_date_from_then_on(
    tmp_path: Path,
) -> None:
    demo = checkout(tmp_path)
    assert "tests" not in fingerprints(demo)
    tests = next(step for step in replace(demo, with_tests=True).all() if step.name == "tests")
    demo.stamp(tests).begin()
    assert "tests" in fingerprints(demo)
    demo.stamp(tests).finish(tests.fingerprint)
    assert changed(demo, "requirements/tests.txt") == {"tests"}


def test_a_moved_checkout_gets_a_new_environment(tmp_path: Path) -> None:
    here = fingerprints(checkout(tmp_path / "here"))
    there = fingerprints(checkout(tmp_path / "there"))
    assert all(here[name] != there[name] for name in here)


def test_an_installed_cuda_build_stays_when_the_gpu_is_gone(tmp_path: Path) -> None:
    with_gpu = checkout(tmp_path, YOLACT_ROS_TORCH="cuda")
    without = checkout(tmp_path)
    cpu = fingerprints(without)["torch"]
    cuda_step = with_gpu.all()[1]
    assert cuda_step.fingerprint != cpu
    with_gpu.stamp(cuda_step).begin()
    with_gpu.stamp(cuda_step).finish(cuda_step.fingerprint)
    assert fingerprints(without)["torch"] == cuda_step.fingerprint


def test_an_environment_of_someone_else_is_not_touched(tmp_path: Path) -> None:
    steps = checkout(tmp_path)
    theirs = tmp_path / ".venv" / "bin" / "precious"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with pytest.raises(SetupProblem, match=r"(?s)\.venv exists and was not made by ./dev.*Cure"):
        steps.all()[0].run(StepLine(1, 1, "venv"), False)
    assert theirs.exists()


class RecordingPip(packages.Pip):
    """Takes down the options of an installation instead of installing."""

    url = ""
    said: ClassVar[list[tuple[str, list[str], bool]]] = []

    def resolves_to(self, requirement: str) -> str:
        assert requirement == "torch==1"
        return self.url

    def install(self, requirements, *, line=None, options=(), redo=False) -> None:  # type: ignore[no-untyped-def]
        self.said.append((requirements.name, list(options), redo))


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> type[RecordingPip]:
    monkeypatch.setattr(packages, "Pip", RecordingPip)
    monkeypatch.setattr(RecordingPip, "said", [])
    return RecordingPip


INDEX = ["--extra-index-url", packages.TORCH_CPU_INDEX]


@pytest.mark.parametrize(
    ("url", "reachable", "options", "note"),
    [
        ("file:///wheels/torch-1%2Bcpu-cp311.whl", True, [], ""),
        ("https://pypi/torch-1-cp311.whl", True, INDEX, ""),
        ("https://pypi/torch-1-cp311.whl", False, [], "CUDA build"),
        ("", True, INDEX, ""),
        ("", False, [], ""),
    ],
)
def test_torch_without_a_gpu_comes_from_the_cpu_index_where_that_answers(
    tmp_path: Path,
    pip: type[RecordingPip],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    reachable: bool,
    options: list[str],
    note: str,
) -> None:
    monkeypatch.setattr(pip, "url", url)
    monkeypatch.setattr(packages, "answers", lambda _: reachable)
    said = checkout(tmp_path).all()[1].run(StepLine(1, 1, "torch"), False)
    assert pip.said == [("torch.txt", options, False)]
    assert said.startswith(note)
    assert bool(said) == bool(note)


def test_a_gpu_that_appears_replaces_the_cpu_build(
    tmp_path: Path, pip: type[RecordingPip]
) -> None:
    steps = checkout(tmp_path, YOLACT_ROS_TORCH="cuda")
    torch = steps.all()[1]
    torch.run(StepLine(1, 1, "torch"), False)
    site = steps.layout.venv / "lib" / "python3.11" / "site-packages"
    (site / "torch-2.13.0+cpu.dist-info").mkdir(parents=True)
    torch.run(StepLine(1, 1, "torch"), False)
    assert [redo for _, _, redo in pip.said] == [False, True]


def fake_program(folder: Path, name: str, program: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{program}\n")
    (folder / name).chmod(0o755)


def test_a_sourced_ros_needs_colcon_and_cmake(tmp_path: Path) -> None:
    empty = checkout(tmp_path, KILTED, PATH=str(tmp_path / "empty"))
    ros = next(step for step in empty.all() if step.name == "ros")
    assert ros.title == "ROS 2 Kilted (sourced)"
    with pytest.raises(SetupProblem, match=r"(?s)Kilted \(sourced\) has no cmake.*apt install"):
        ros.run(StepLine(1, 1, "ros"), False)
    fake_program(tmp_path / "bin", "cmake", "true")
    fake_program(tmp_path / "bin", "colcon", "true")
    full = checkout(tmp_path, KILTED, PATH=str(tmp_path / "bin"))
    ros = next(step for step in full.all() if step.name == "ros")
    assert ros.run(StepLine(1, 1, "ros"), False) == "used as it is"


def test_the_package_is_built_with_the_sourced_ros(tmp_path: Path) -> None:
    fake_program(tmp_path / "bin", "colcon", 'echo "$@"; echo "prefix $AMENT_PREFIX_PATH"')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    steps = checkout(tmp_path, KILTED, PATH=path, AMENT_PREFIX_PATH="/opt/ros/kilted")
    steps.all()[-1].run(StepLine(1, 1, "build"), False)
    log = (steps.layout.logs / "build.log").read_text()
    assert f"--base-paths {tmp_path} --packages-select yolact_ros" in log
    assert f"--install-base {tmp_path}/.dev/kilted/install" in log
    assert f"-DPython3_EXECUTABLE={tmp_path}/.venv-kilted/bin/python" in log
    assert "prefix /opt/ros/kilted\n" in log


def test_a_failed_build_shows_the_end_of_its_log(tmp_path: Path) -> None:
    fake_program(tmp_path / "bin", "colcon", "seq 100; echo Instance.msg: bad line; exit 1")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    steps = checkout(tmp_path, KILTED, PATH=path)
    with pytest.raises(SetupProblem) as caught:
        steps.all()[-1].run(StepLine(1, 1, "build"), False)
    shown = caught.value.what.splitlines()
    assert shown[-1].strip() == "Instance.msg: bad line"
    assert len(shown) == 16
    assert "build.log" in shown[0]
