"""YOLO segmentation models in ONNX files, on the whole way of an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from devices import DEVICES
from yolo_onnx import IMAGES_PX, KINDS, coloured_image, write_yolo_onnx

from yolact_ros.config import InputShape
from yolact_ros.errors import ConfigError, RuntimeUnavailableError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import load_network, read_config
from yolact_ros.ops.placement import place_image
from yolact_ros.prediction import Prediction

RECORDED = Path(__file__).parents[1] / "data" / "yolo_seg.npz"
AS_RECORDED = PredictionSettings(score_threshold=0.3, top_k=200, nms_threshold=0.7)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("yolo")
    return {
        kind: write_yolo_onnx(folder / f"{kind}.onnx", **options)
        for kind, options in KINDS.items()
    }


def load(path: Path, runtime: str = "onnxruntime", **options: Any) -> Predictor:
    pytest.importorskip("onnxruntime" if runtime == "eager" else runtime)
    options = {"precision": "fp32", "settings": AS_RECORDED} | options
    return Predictor.load(path, device="cpu", runtime=runtime, **options)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_eager_works_beside_any_device(
    models: dict[str, Path], kind: str, device: torch.device
) -> None:
    pytest.importorskip("onnxruntime")
    images = [coloured_image(*size_px, seed) for seed, size_px in enumerate(IMAGES_PX)]
    options: Any = {"runtime": "eager", "precision": "fp32", "settings": AS_RECORDED}
    with load(models[kind]) as host, Predictor.load(models[kind], device=device, **options) as one:
        for image in images:
            ours, theirs = one.predict(image), host.predict(image)
            np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
            np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-3)
            assert (ours.masks != theirs.masks).mean() < 1e-4


def with_pixels(found: Prediction) -> list[int]:
    """Rows of instances with a mask, as Ultralytics reports no others."""
    return [row for row, crop in enumerate(found.mask_crops) if crop.bits.any()]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_instances_are_those_of_ultralytics(
    models: dict[str, Path], kind: str, runtime: str
) -> None:
    # float16 in OpenVINO is computed in float32, so that values move by float16's rounding. And
    # where the border ends inside of a cell, Ultralytics interpolates in two steps, which moves
    # the edges of such small and sharp masks.
    half = kind == "half"
    box_px, score = (0.1, 2e-3) if half else (1e-3, 1e-5)
    least_iou = {"rectangular": 0.93, "half": 0.9}.get(kind, 0.99)
    with np.load(RECORDED) as recorded, load(models[kind], runtime) as predictor:
        for seed, (height_px, width_px) in enumerate(IMAGES_PX):
            key = f"{kind}_{width_px}x{height_px}"
            expected = {
                name: recorded[f"{key}_{name}"] for name in ("boxes", "scores", "classes", "masks")
            }
            found = predictor.predict(coloured_image(height_px, width_px, seed))
            rows = with_pixels(found)
            # Boxes after NMS come in any order, and so do equal scores.
            order = [nearest(found, rows, box, class_id) for box, class_id in zip(
                expected["boxes"], expected["classes"], strict=True
            )]  # fmt: skip
            assert sorted(order) == rows
            np.testing.assert_allclose(found.boxes_xyxy[order], expected["boxes"], atol=box_px)
            np.testing.assert_allclose(found.scores[order], expected["scores"], atol=score)
            bits = np.unpackbits(expected["masks"], axis=1, count=height_px * width_px)
            for row, mask in zip(order, bits.reshape(-1, height_px, width_px) > 0, strict=True):
                ours = found[row].mask
                assert (mask & ours).sum() >= least_iou * (mask | ours).sum() - 2


def nearest(found: Prediction, rows: list[int], box: np.ndarray, class_id: int) -> int:
    same = [row for row in rows if found.class_ids[row] == class_id]
    return min(same, key=lambda row: float(np.abs(found.boxes_xyxy[row] - box).max()))


def test_free_axes_give_an_image_the_smallest_input_that_shows_it(
    models: dict[str, Path],
) -> None:
    network = load_network(models["free"], input_size_px=128)
    shapes = []
    run = network.forward
    network.forward = lambda images: shapes.append(tuple(images.shape[2:])) or run(images)
    with Predictor(network, device="cpu") as predictor:
        for size_px in ((128, 128), (64, 128), (70, 128), (480, 640), (1000, 100)):
            predictor.predict(np.zeros((*size_px, 3), np.uint8))
    assert shapes == [(128, 128), (64, 128), (96, 128), (96, 128), (128, 32)]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_free_axes_give_the_budget_its_input_sizes(models: dict[str, Path], runtime: str) -> None:
    predictors = {
        size_px: load(models["free"], runtime, input_size_px=size_px) for size_px in (128, 64)
    }
    runner = BudgetRunner(predictors, PredictionSettings(), budget_ms=1000.0)
    runner.warm_up()
    plan = runner.begin(0.0)
    found = runner.predict(plan, coloured_image(48, 64, 0))
    assert found is not None
    assert len(found[0]) > 0
    assert runner.input_sizes_px == (128, 64)
    runner.close()


def test_free_axes_with_rows_keep_as_many_boxes_as_rows(tmp_path: Path) -> None:
    config = read_config(write_yolo_onnx(tmp_path / "a.onnx", None, metadata={"imgsz": "640"}))
    with_rows = replace(config, has_free_axes=True, num_rows=300)
    assert with_rows.input_shape == InputShape(640, 640, 32, 128)
    place = place_image(60, 640, with_rows.input_shape, keep_aspect_ratio=True)
    assert (place.input_height_px, place.top_px, place.height_px) == (128, 34, 60)
    with pytest.raises(ConfigError, match="gives the best 300 boxes and has as many from 128 on"):
        with_rows.with_input_size(96)


def test_fixed_axes_have_one_size(models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"exported for 96x64 only.*dynamic=True"):
        load(models["rectangular"], input_size_px=64)
    with load(models["rectangular"], input_size_px=96) as predictor:
        assert predictor.input_size_px == 96


def test_a_size_between_strides_is_refused(models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"multiple of free's stride 32, such as 96 or 128"):
        load(models["free"], input_size_px=100)


@pytest.mark.parametrize("runtime", ["compiled", "ncnn"])
def test_a_runtime_that_converts_networks_is_refused(
    models: dict[str, Path], runtime: str
) -> None:
    pytest.importorskip("ncnn")
    network = load_network(models["fixed"])
    with pytest.raises(RuntimeUnavailableError, match="is an ONNX file, which cannot be conv"):
        # What the compiler cannot take, eager would run.
        (open_runtime if runtime == "ncnn" else open_eager_bf16)(
            runtime, network, device=CPU, cache_folder=None
        )


def open_eager_bf16(_: str, network: Any, **__: Any) -> None:
    from yolact_ros.inference.runtimes.fold import prepare_network

    prepare_network(network, device=CPU, dtype=torch.bfloat16)


def test_auto_chooses_among_the_runtimes_of_onnx_files(
    models: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    network = load_network(models["fixed"])
    runtime = open_runtime("auto", network, device=CPU, precision="fp32", cache_folder=tmp_path)
    assert runtime.name in ("openvino", "onnxruntime")
    assert "openvino fp32" in runtime.reason
    assert "onnxruntime fp32" in runtime.reason
    runtime.close()


def test_classes_are_chosen_after_each_box_took_its_best(models: dict[str, Path]) -> None:
    image = coloured_image(64, 64, 3)
    with load(models["fixed"]) as predictor:
        everything = predictor.predict(image)
        predictor.settings = PredictionSettings(
            score_threshold=0.3, top_k=200, nms_threshold=0.7, class_ids=(1,)
        )
        blue = predictor.predict(image)
    assert set(everything.class_ids.tolist()) == {0, 1}
    is_blue = everything.class_ids == 1
    np.testing.assert_array_equal(blue.boxes_xyxy, everything.boxes_xyxy[is_blue])
    assert set(blue.class_ids.tolist()) == {1}
