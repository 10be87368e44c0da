"""Programs let torch's threads sleep while they wait, unless the user says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASK = (
    "import os, sys, {package}; "
    "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules or 'numpy' in sys.modules)"
)


@pytest.mark.parametrize("package", ["yolact_ros.cli", "yolact_ros.cli.main", "yolact_ros.ros"])
@pytest.mark.parametrize(("users", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_policy_is_set_before_torch_could_read_it(
    package: str, users: str | None, expected: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if users is not None:
        environment["OMP_WAIT_POLICY"] = users
    command = [sys.executable, "-c", ASK.format(package=package)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"]
