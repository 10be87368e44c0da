"""Steps are done once, in order, by one process; a killed one is repaired."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from devtool import machine, progress
from devtool.layout import Layout
from devtool.problem import SetupProblem
from devtool.progress import StepLine
from devtool.ros import RosSource
from devtool.setup import bring_up_to_date
from devtool.stamp import Stamp
from devtool.steps import Step

WHEELS = RosSource("jazzy", sourced=False)
TOOLS = Path(__file__).parents[2] / "tools"
PATIENCE_S = 60.0


@dataclass
class FakeSteps:
    """Three steps that write down their names; `inputs` are their fingerprints."""

    root: Path
    inputs: dict[str, str] = field(
        default_factory=lambda: {"venv": "1", "torch": "1", "build": "1"}
    )
    done: list[str] = field(default_factory=list)
    failing: dict[str, BaseException] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    ros: RosSource = WHEELS

    @property
    def layout(self) -> Layout:
        return Layout(self.root, "wheels")

    def stamp(self, step: Step) -> Stamp:
        return Stamp(self.layout.stamps, step.name)

    def _runner(self, name: str) -> Callable[[StepLine, bool], str]:
        def run(line: StepLine, redo: bool) -> str:
            if name in self.failing:
                raise self.failing[name]
            if name == "venv":
                self.layout.stamps.mkdir(parents=True, exist_ok=True)
                self.layout.python.parent.mkdir(exist_ok=True)
                self.layout.python.touch()
            self.done.append(f"{name} again" if redo else name)
            return ""

        return run

    def all(self) -> list[Step]:
        return [
            Step(name, name, wanted, 1, self._runner(name)) for name, wanted in self.inputs.items()
        ]

    def taken(self) -> list[str]:
        """What a call now does."""
        self.done.clear()
        bring_up_to_date(self)
        return list(self.done)


@pytest.fixture
def steps(tmp_path: Path) -> FakeSteps:
    return FakeSteps(tmp_path)


def test_a_second_call_does_nothing(steps: FakeSteps) -> None:
    assert steps.taken() == ["venv", "torch", "build"]
    assert steps.taken() == []


def test_a_changed_input_redoes_its_step_only(steps: FakeSteps) -> None:
    steps.taken()
    steps.inputs["build"] = "2"
    assert steps.taken() == ["build"]


def test_another_environment_redoes_everything(steps: FakeSteps) -> None:
    steps.taken()
    steps.inputs["venv"] = "2"
    assert steps.taken() == ["venv", "torch", "build"]


def test_a_deleted_environment_is_made_again(steps: FakeSteps) -> None:
    steps.taken()
    steps.layout.python.unlink()
    assert steps.taken() == ["venv", "torch", "build"]


def test_a_step_that_was_interrupted_is_repaired_and_the_rest_follows(steps: FakeSteps) -> None:
    steps.failing["torch"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        steps.taken()
    assert steps.done == ["venv"]
    steps.failing.clear()
    assert steps.taken() == ["torch again", "build"]
    assert steps.taken() == []


def test_a_step_that_ended_with_an_error_is_only_tried_again(steps: FakeSteps) -> None:
    steps.failing["torch"] = SetupProblem("the index cannot be reached", "check the network")
    with pytest.raises(SetupProblem):
        steps.taken()
    steps.failing.clear()
    assert steps.taken() == ["torch", "build"]


def test_a_failed_repair_stays_a_repair(steps: FakeSteps) -> None:
    steps.failing["torch"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        steps.taken()
    steps.failing["torch"] = SetupProblem("no network", "wait")
    with pytest.raises(SetupProblem):
        steps.taken()
    steps.failing.clear()
    assert steps.taken() == ["torch again", "build"]


def test_what_is_asked_for_by_name_is_done_again(steps: FakeSteps) -> None:
    steps.taken()
    steps.done.clear()
    bring_up_to_date(steps, force=frozenset(["build"]))
    assert steps.done == ["build"]


def test_the_disk_is_asked_for_what_is_still_to_do(
    steps: FakeSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(machine, "check_free_space", lambda _, megabytes: asked.append(megabytes))
    steps.taken()
    steps.inputs["build"] = "2"
    steps.taken()
    assert asked == [3, 1]


def test_every_step_has_one_line_with_its_time(
    steps: FakeSteps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three seconds pass from the beginning of a line to its end.
    clock = SimpleNamespace(monotonic=itertools.count(step=3).__next__)
    monkeypatch.setattr(progress, "time", clock)
    steps.taken()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == [
        "[1/3] venv ... 3 s",
        "[2/3] torch ... 3 s",
        "[3/3] build ... 3 s",
    ]


HOLDER = """
    import subprocess, sys
    from pathlib import Path
    from devtool.setup import locked
    with locked(Path(sys.argv[1])):
        child = subprocess.Popen(["sleep", sys.argv[2]], close_fds=False)
        print("held", child.pid, flush=True)
        sys.stdin.read()
"""


def holder(lock: Path) -> tuple[subprocess.Popen[str], int]:
    """A set-up that holds the lock until its input ends, and its pip."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(lock), "600"],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline().split()[1])


def test_a_second_set_up_waits_for_the_first_and_says_for_whom(
    steps: FakeSteps, capsys: pytest.CaptureFixture[str]
) -> None:
    process, child = holder(steps.layout.lock)
    second = threading.Thread(target=steps.taken)
    second.start()
    said = ""
    deadline_s = time.monotonic() + PATIENCE_S
    while f"(process {process.pid})" not in said:
        assert time.monotonic() < deadline_s, said
        time.sleep(0.01)
        said += capsys.readouterr().err
    assert steps.done == []
    assert process.stdin is not None
    process.stdin.close()
    process.wait(PATIENCE_S)
    os.kill(child, signal.SIGKILL)
    second.join(PATIENCE_S)
    assert steps.done == ["venv", "torch", "build"]


def test_a_killed_set_up_blocks_until_its_pip_is_gone_and_no_longer(steps: FakeSteps) -> None:
    process, child = holder(steps.layout.lock)
    process.kill()
    process.wait()
    waiting = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(steps.layout.lock), "0"],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    os.kill(child, signal.SIGKILL)
    out, _ = waiting.communicate(timeout=PATIENCE_S)
    assert out.startswith(b"held")
