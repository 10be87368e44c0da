"""What starts the processes of the ROS tests."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ros_processes import is_running, reserve_domain

from yolact_ros.cli.demo_processes import free_domain_id

STARTER = """
import os, sys, time
from pathlib import Path
from ros_processes import Process

command = ["sh", "-c", "echo up; exec sleep 600"]
process = Process(command, os.environ, Path(sys.argv[1]))
process.wait_for_text("up")
print(process.pid, flush=True)
time.sleep(600)
"""


def test_no_process_outlives_a_killed_test_run(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STARTER, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        assert is_running(child)
        run.kill()
    deadline_s = time.monotonic() + 60
    while is_running(child):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_reserved_domain_is_not_offered_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[list[int]] = []

    def last(domains: list[int]) -> int:
        offered.append(domains)
        return domains[-1]

    monkeypatch.setattr(random, "choice", last)
    number, reservation = reserve_domain()
    with reservation:
        assert number in offered[-1]
        assert free_domain_id() != number
        assert number not in offered[-1]
