"""Programs let torch's threads wait briefly and then sleep, unless the user says otherwise."""

from __future__ import annotations

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
