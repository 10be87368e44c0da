"""Programs let torch's threads wait briefly and then sleep, unless the user says otherwise."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from yolact_ros.openmp import SPIN_COUNT

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
ASK = (
    "import os, sys, {package}; "
    "print([os.environ.get(name) for name in {names}], "
    "'torch' in sys.modules or 'numpy' in sys.modules)"
)


@pytest.mark.parametrize("package", ["yolact_ros.cli", "yolact_ros.cli.main", "yolact_ros.ros"])
@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({}, ["PASSIVE", SPIN_COUNT]),
        ({"GOMP_SPINCOUNT": "7"}, ["PASSIVE", "7"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
    ],
)
def test_how_to_wait_is_set_before_torch_could_read_it(
    package: str, users: dict[str, str], expected: list[str | None]
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in NAMES} | users
    command = [sys.executable, "-c", ASK.format(package=package, names=NAMES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{expected} False"


COUNT = """
import os, threading, time, torch
from yolact_ros.openmp import release_threads
torch.set_num_threads(3)
counts = []
def work():
    torch.ones(1 << 20).exp_()
    counts.append(len(os.listdir("/proc/self/task")))
work()
release_threads()
# A thread that has ended is listed for a moment more.
until_s = time.monotonic() + 60
while len(os.listdir("/proc/self/task")) > counts[0] - 2 and time.monotonic() < until_s:
    time.sleep(0.01)
counts.append(len(os.listdir("/proc/self/task")))
work()
print(counts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_released_threads_end_and_come_back_when_there_is_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True
    )
    working, released, again = ast.literal_eval(done.stdout)
    assert released == working - 2
    assert again == working
