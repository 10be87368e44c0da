"""A process that works for a command dies, or the command does: both end soon, and all of both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from command_environments import Installed

# Within seconds on a computer that does nothing else; torch looks every 5 s.
PATIENCE_S = 120.0
NUM_FRAMES = 800
TRAIN = "yolact train data.yaml --steps 100000"
EVALUATE = "yolact bag evaluate drive --model tiny.safetensors --jobs 2"
DEMO = "yolact demo --source clip.mp4 --model tiny.safetensors"


class Run:
    """A command in a session of its own, as in a terminal."""

    def __init__(self, installed: Installed, line: str, folder: Path, temporary: str) -> None:
        self._output, self._errors = folder / "output.txt", folder / "errors.txt"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                installed.command(f"exec {line}"),
                cwd=folder,
                env={**installed.environment, "PYTHONUNBUFFERED": "1", "TMPDIR": temporary},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self._seen: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def workers(self, word: str = "spawn_main") -> list[psutil.Process]:
        """Running processes below it with a word in their command line."""
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            if process not in self._seen:
                self._seen.append(process)
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._process.poll() is None, self.errors
            assert time.monotonic() < deadline_s, self.output + self.errors
            time.sleep(0.05)

    def signal(self, number: int, *, group: bool = False) -> None:
        """To the command alone, or as Ctrl-C sends it: to all in its terminal."""
        (os.killpg if group else os.kill)(self._process.pid, number)

    def status(self) -> int:
        """Its exit status; it and all that it started have ended."""
        status = self._process.wait(PATIENCE_S)
        _, alive = psutil.wait_procs(self._seen, PATIENCE_S)
        assert not alive
        return status

    def close(self) -> None:
        for process in [*self._seen, self._process]:
            if psutil.pid_exists(process.pid):
                process.kill()
        self._process.wait()


@pytest.fixture
def start(colcon: Installed, folder: Path) -> Iterator[Callable[[str], Run]]:
    """Starts a command; what is left of it is killed, and its temporary files are removed."""
    runs: list[Run] = []

    # Not in the test's folder, whose name is too long for the sockets of multiprocessing.
    with tempfile.TemporaryDirectory() as temporary:

        def begin(line: str) -> Run:
            runs.append(Run(colcon, line, folder, temporary))
            return runs[-1]

        yield begin
        for run in runs:
            run.close()


@pytest.fixture(scope="session")
def long_drive(colcon: Installed, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag whose evaluation is still at work when a test comes to end it."""
    folder = tmp_path_factory.mktemp("drive")
    (folder / "frames").mkdir()
    for number in range(NUM_FRAMES):
        (folder / "frames" / f"{number:04}.jpg").symlink_to(inputs / "photo.jpg")
    result = colcon.run("yolact bag from-video frames --output drive", folder)
    assert result.returncode == 0, result.stderr
    return folder / "drive"


@pytest.fixture
def drive(long_drive: Path, folder: Path) -> Path:
    """The user's bag; returns where its evaluation goes."""
    shutil.copytree(long_drive, folder / "drive")
    return folder / "bag_evaluation"


def test_training_ends_when_a_process_that_prepares_images_is_killed(start) -> None:
    run = start(TRAIN)
    run.wait_for(lambda: "\nstep " in run.output)
    run.workers()[0].kill()
    assert run.status() == 2
    assert run.errors.startswith(
        "yolact: error: a process that prepares images was killed by SIGKILL (out of memory?); "
    )
    assert run.errors.count("\n") == 1


@pytest.mark.parametrize("command", [TRAIN, EVALUATE], ids=["train", "bag evaluate"])
def test_a_process_that_cannot_be_imported_says_why(start, drive, folder, command) -> None:
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'spawn_main' in ' '.join(sys.orig_argv):\n"
        "    os.write(2, b'Traceback ...\\nImportError: libgone.so: no such file\\n')\n"
        "    os._exit(1)\n"
    )
    run = start(f'env PYTHONPATH="{site}:$PYTHONPATH" {command}')
    assert run.status() == 2
    assert "ended with exit status 1: ImportError: libgone.so: no such file; " in run.errors
    assert run.errors.count("\n") == 1


def test_an_evaluation_ends_when_one_of_its_processes_is_killed(start, drive) -> None:
    run = start(EVALUATE)
    run.wait_for(lambda: list(drive.glob("units/*.parquet")) and len(run.workers()) == 2)
    run.workers()[0].kill()
    assert run.status() == 2
    assert "a process that evaluates bags was killed by SIGKILL" in run.errors
    assert run.errors.count("\n") == 1


@pytest.mark.parametrize("command", [TRAIN, EVALUATE], ids=["train", "bag evaluate"])
def test_ctrl_c_ends_all_without_a_word_of_the_workers(start, drive, command) -> None:
    run = start(command)
    run.wait_for(lambda: len(run.workers()) == 2)
    run.signal(signal.SIGINT, group=True)
    assert run.status() == 130
    assert run.errors == "yolact: interrupted\n"


@pytest.mark.parametrize("command", [TRAIN, EVALUATE], ids=["train", "bag evaluate"])
def test_a_command_that_is_killed_leaves_no_process_behind(start, drive, command) -> None:
    run = start(command)
    begun = (lambda: "\nstep " in run.output) if command == TRAIN else (
        lambda: list(drive.glob("units/*.parquet"))
    )  # fmt: skip
    run.wait_for(lambda: begun() and len(run.workers()) == 2)
    run.signal(signal.SIGKILL)
    assert run.status() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("module", "name"),
    [("ros node", "yolact_node"), ("demo_camera", "camera"), ("demo_viewer", "viewer")],
)
def test_the_demo_ends_when_one_of_its_processes_is_killed(start, module, name) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    run = start(DEMO)
    run.wait_for(lambda: run.workers(module))
    run.wait_for(lambda: len(run.workers("yolact_ros.ros")) >= 3)
    run.workers(module)[0].kill()
    assert run.status() == 1
    assert f"yolact: error: {name}: was killed by SIGKILL" in run.errors
    assert "Traceback" not in run.errors
