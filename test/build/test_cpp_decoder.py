"""The C++ mask decoder, built outside of the package as a user's program is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from yolact_ros.ops.packing import pack_bits, rle_encode

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"

pytest.importorskip("yolact_ros.msg", reason="needs the package built by colcon (./dev test)")

Decode = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def decode(tmp_path_factory: pytest.TempPathFactory) -> Decode:
    """Runs the example's decode_mask, built through find_package(yolact_ros)."""
    build = tmp_path_factory.mktemp("cpp_example")
    cmake = shutil.which("cmake")
    assert cmake is not None
    for command in (
        [cmake, "-S", str(EXAMPLE), "-B", str(build)],
        [cmake, "--build", str(build), "--target", "decode_mask"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy())
        assert done.returncode == 0, done.stdout + done.stderr

    def run(encoding: str, *numbers: int) -> subprocess.CompletedProcess[str]:
        arguments = [str(build / "decode_mask"), encoding, *map(str, numbers)]
        return subprocess.run(arguments, capture_output=True, text=True)

    return run


@pytest.mark.parametrize("encoding", ["bits", "rle"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (16, 24)])
def test_cpp_finds_the_pixels_that_python_sent(
    decode: Decode, encoding: str, shape: tuple[int, int]
) -> None:
    mask = np.random.default_rng(3).random(shape) > 0.4
    data = pack_bits(mask) if encoding == "bits" else rle_encode(mask)
    done = decode(encoding, 10, 20, shape[1], shape[0], *data.tolist())
    assert done.returncode == 0, done.stderr
    found = {tuple(map(int, line.split())) for line in done.stdout.splitlines()}
    rows, columns = np.nonzero(mask)
    assert found == set(zip((columns + 10).tolist(), (rows + 20).tolist(), strict=True))


def test_cpp_refuses_data_that_does_not_fill_the_rectangle(decode: Decode) -> None:
    for encoding, message in (("bits", "1 bytes of bits, expected 2"), ("rle", "add up to 12")):
        done = decode(encoding, 0, 0, 4, 3, 9)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stdout == ""
