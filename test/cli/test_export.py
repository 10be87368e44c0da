"""``yolact export``: ONNX files that say what torch says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolact_ros.cli.main import main
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.models.checkpoint import load_network
from yolact_ros.ops.boxes import decode_boxes
from yolact_ros.ops.fixed_shape_nms import fixed_shape_fast_nms

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """Coloured noise, smooth enough to survive the resizing."""
    noise = np.random.default_rng(5).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def images(photograph: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    cv2.imwrite(str(folder / "one.png"), photograph)
    return folder


def test_the_exported_detector_finds_what_fast_nms_finds(
    tiny_model: Path,
    photograph: np.ndarray,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "detector.onnx"
    settings = ["--nms", "--score-threshold", "0.3", "--top-k", "20", "--images", str(images)]
    assert main(["export", "--model", str(tiny_model), "--output", str(file), *settings]) == 0
    assert "largest difference to torch" in capsys.readouterr().out

    model = load_network(tiny_model)
    inputs = Preprocessor(model.config)(photograph)
    with torch.inference_mode():
        output = model(inputs)
        expected = fixed_shape_fast_nms(
            decode_boxes(output.box_offsets, model.priors),
            output.class_logits.softmax(dim=2)[:, :, 1:],
            output.coefficients,
            score_threshold=0.3,
            max_detections=20,
        )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    boxes, scores, class_ids, coefficients, counts, prototypes = session.run(
        None, {"images": inputs.numpy()}
    )
    assert counts[0] == expected.counts[0] > 3
    np.testing.assert_array_equal(class_ids, expected.class_ids)
    np.testing.assert_allclose(scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(boxes, expected.boxes_xyxy, atol=1e-4)
    np.testing.assert_allclose(coefficients, expected.coefficients, atol=1e-4)
    np.testing.assert_allclose(prototypes, output.prototypes, atol=1e-3)


def test_the_exported_network_has_the_raw_outputs(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "network.onnx"
    assert main(["export", "--model", str(tiny_model), "--output", str(file)]) == 0
    names = [
        output.name
        for output in onnxruntime.InferenceSession(
            str(file), providers=["CPUExecutionProvider"]
        ).get_outputs()
    ]
    assert names == ["box_offsets", "class_logits", "coefficients", "prototypes"]
    report = capsys.readouterr().out
    assert all(f"{name}: " in report for name in names)


def test_a_file_that_differs_from_torch_is_not_called_good(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "yolact_ros.inference.runtimes.onnx_export.largest_differences",
        lambda *_: {"class_logits": 0.5},
    )
    monkeypatch.setattr(
        "yolact_ros.inference.runtimes.onnx_export.export_network",
        lambda _model, path: Path(path).write_bytes(b"onnx"),
    )
    file = tmp_path / "network.onnx"
    assert main(["export", "--model", str(tiny_model), "--output", str(file)]) == 1
    assert "do not use it" in capsys.readouterr().out


def test_a_missing_output_folder_is_named(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nowhere" / "network.onnx"
    assert main(["export", "--model", str(tiny_model), "--output", str(file)]) == 2
    assert "nowhere" in capsys.readouterr().err
