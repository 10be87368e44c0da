"""Quantisation to int8 from a folder of images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from yolact_ros.errors import DataError, DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes import openvino as openvino_runtime
from yolact_ros.inference.runtimes.calibration import (
    calibration_images,
    images_digest,
    network_inputs,
)
from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.models import Yolact

CPU = torch.device("cpu")


def test_int8_is_close_and_cached(
    tiny: Yolact,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")

    def open_int8() -> OpenVinoRuntime:
        return OpenVinoRuntime(
            tiny,
            device=CPU,
            precision="int8",
            cache_folder=tmp_path,
            calibration_folder=photo_folder,
        )

    image = next(network_inputs(calibration_images(photo_folder), tiny.config))
    images = torch.from_numpy(image)
    with torch.inference_mode():
        exact = tiny(images)
    logits = open_int8().run(images).class_logits
    error = (logits - exact.class_logits).square().mean().sqrt()
    assert 0.0 < error <= 0.1 * exact.class_logits.square().mean().sqrt()

    monkeypatch.setattr(openvino_runtime, "_quantize", forbid_quantising)
    assert torch.equal(open_int8().run(images).class_logits, logits)


def forbid_quantising(*_: object) -> None:
    raise AssertionError("quantised although the engine is in the cache")


def keep_float(converted: object, model: Yolact, images: Sequence[Path]) -> object:
    """In the place of NNCF's quantisation."""
    return converted


def test_an_int8_network_made_before_opens_without_images_and_says_what_it_costs(
    tiny: Yolact,
    images: Tensor,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(openvino_runtime, "_quantize", keep_float)
    made = OpenVinoRuntime(
        tiny,
        device=CPU,
        precision="int8",
        cache_folder=tmp_path,
        calibration_folder=photo_folder,
    )
    assert made.quantized is not None
    made.quantized.record_accuracy("mask AP 40.6 to 39.4", {})

    monkeypatch.setattr(openvino_runtime, "_quantize", forbid_quantising)
    opened = open_runtime("openvino", tiny, device=CPU, precision="int8", cache_folder=tmp_path)
    assert torch.equal(opened.run(images).class_logits, made.run(images).class_logits)
    reason = "int8 calibrated on 4 images, mask AP 40.6 to 39.4"
    assert opened.describe()["reason"] == reason
    chosen = open_runtime("auto", tiny, device=CPU, precision="int8", cache_folder=tmp_path)
    assert chosen.describe()["reason"].endswith(f"; {reason}")


def test_a_damaged_int8_engine_is_made_again(
    tiny: Yolact,
    images: Tensor,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    calls: list[int] = []

    def quantize(converted: object, model: Yolact, images: Sequence[Path]) -> object:
        calls.append(len(images))
        return converted

    monkeypatch.setattr(openvino_runtime, "_quantize", quantize)
    for _ in range(2):
        runtime = OpenVinoRuntime(
            tiny,
            device=CPU,
            precision="int8",
            cache_folder=tmp_path,
            calibration_folder=photo_folder,
        )
        runtime.run(images)
        assert runtime.quantized is not None
        (runtime.quantized.folder / "network.bin").write_bytes(b"cut")
    assert calls == [4, 4]


def test_without_nncf_the_package_is_named(
    tiny: Yolact, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(DependencyError, match=r"needs the package nncf: .*pip install nncf"):
        OpenVinoRuntime(tiny, device=CPU, precision="int8", calibration_folder=photo_folder)


def test_int8_without_images_asks_for_them(tiny: Yolact) -> None:
    pytest.importorskip("openvino")
    with pytest.raises(RuntimeUnavailableError, match="needs images to calibrate on"):
        OpenVinoRuntime(tiny, device=CPU, precision="int8")


def test_a_missing_or_empty_calibration_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist or is not a folder"):
        calibration_images(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="has no image"):
        calibration_images(tmp_path)


def test_many_images_are_thinned_out_evenly(tmp_path: Path) -> None:
    for index in range(1000):
        (tmp_path / f"{index:04}.png").touch()
    chosen = [int(path.stem) for path in calibration_images(tmp_path)]
    assert len(chosen) == 50
    assert chosen[0] == 0
    assert max(np.diff(chosen)) == 20
    assert chosen[-1] == 980


def test_inputs_are_the_networks_and_unreadable_images_are_left_out(
    tiny: Yolact, photo_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a png")
    paths = [tmp_path / "broken.png", *calibration_images(photo_folder)]
    inputs = list(network_inputs(paths, tiny.config))
    assert [array.shape for array in inputs] == [(1, 3, 64, 64)] * 4
    assert not np.array_equal(inputs[0], inputs[1])
    with pytest.raises(DataError, match="none of the 1 calibration images"):
        list(network_inputs(paths[:1], tiny.config))


def test_other_images_mean_another_engine(photo_folder: Path, tmp_path: Path) -> None:
    paths = calibration_images(photo_folder)
    assert images_digest(paths) != images_digest(paths[1:])
