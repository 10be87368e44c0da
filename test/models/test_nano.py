"""YolactNano: NanoDet-Plus-m with a mask branch."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from convert_nanodet import convert, layer_names, read_ncnn

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.checkpoint import load_network, save_checkpoint
from yolact_ros.models.families import config_from_dict
from yolact_ros.models.nano import NanoConfig, YolactNano

NUM_DETECTOR_LAYERS = 110


BUNDLED = Path(__file__).parents[2] / "models" / "yolact_nano.safetensors"
# By benchmarks/bundle_nano.py.
LOWERED_LOGITS = 0.7
MASK_THRESHOLD = 0.35


def coloured_blocks(size_px: int) -> np.ndarray:
    """A normalised image, float32[3, S, S] in BGR order."""
    generator = np.random.default_rng(0)
    blocks = generator.normal(size=(3, size_px // 16, size_px // 16))
    return np.ascontiguousarray(blocks.repeat(16, 1).repeat(16, 2), np.float32)


@pytest.fixture(scope="module")
def network() -> YolactNano:
    torch.manual_seed(0)
    return YolactNano(NanoConfig(num_prototypes=8, class_names=("a", "b", "c"))).eval()


@pytest.mark.parametrize(("size_px", "cells"), [(64, 85), (96, 193), (320, 2125), (416, 3598)])
def test_output_has_one_row_for_each_cell_and_prototypes_at_a_quarter_of_the_size(
    network: YolactNano, size_px: int, cells: int
) -> None:
    with torch.inference_mode():
        output = network(torch.randn(2, 3, size_px, size_px))
    assert output.class_logits.shape == (2, cells, 3)
    assert output.box_offsets.shape == (2, cells, 32)
    assert output.coefficients.shape == (2, cells, 8 + 16)
    assert output.prototypes.shape == (2, size_px // 4, size_px // 4, 8)
    boxes_xyxy, scores = network.with_input_size(size_px).decoder.decode(output)
    assert boxes_xyxy.shape == (2, cells, 4)
    assert scores.shape == (2, cells, 3)


def test_rows_are_ordered_by_level_row_and_column(network: YolactNano) -> None:
    levels = [torch.randn(1, 96, side, side) for side in (8, 4, 2, 1)]
    with torch.inference_mode():
        logits, offsets, coefficients, _ = network.head(levels)
        index = 0
        head = network.head
        for level, stem, *outputs in zip(
            levels, head.stems, head.classes, head.boxes, strict=True
        ):
            raw = torch.cat([output(stem(level))[0] for output in outputs])
            for row in range(level.shape[2]):
                for column in range(level.shape[3]):
                    cell = torch.cat([logits[0, index], offsets[0, index]])
                    torch.testing.assert_close(cell, raw[:, row, column])
                    index += 1
    assert index == coefficients.shape[1]
    assert coefficients.abs().max() < 1


@pytest.mark.parametrize("size_px", [32, 100, 418, 4096])
def test_a_size_that_the_pyramid_cannot_have_is_named(size_px: int) -> None:
    with pytest.raises(ConfigError, match=f"input_size_px is {size_px}"):
        NanoConfig(input_size_px=size_px)


def test_config_survives_its_stored_form() -> None:
    config: NetworkConfig = NanoConfig(input_size_px=320, class_names=("cup",), num_prototypes=16)
    assert config_from_dict(config.to_dict()) == config


def test_without_the_coarse_shape_there_are_k_coefficients() -> None:
    network = YolactNano(NanoConfig(num_prototypes=8, class_names=("a",), shape_order=0)).eval()
    assert network(torch.zeros(1, 3, 64, 64)).coefficients.shape == (1, 85, 8)


def test_weights_survive_their_file(network: YolactNano, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "nano.safetensors", network)
    loaded = load_network(tmp_path / "nano.safetensors")
    assert loaded.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_the_conversion_names_every_layer_of_the_detector_once(network: YolactNano) -> None:
    keys = {key.removesuffix(".weight") for key in network.state_dict() if ".weight" in key}
    mask_branch = {key for key in keys if key.startswith(("proto_net.", "head.coefficient"))}
    outputs = {f"head.{kind}.{level}" for kind in ("classes", "boxes") for level in range(4)}
    names = layer_names()
    assert len(set(names)) == len(names) == NUM_DETECTOR_LAYERS
    found = {name for name in names if "classes_and_boxes" not in name}
    assert len(found) == NUM_DETECTOR_LAYERS - 4
    assert found == keys - mask_branch - outputs


def write_ncnn(folder: Path, content: bytes, layers: str) -> Path:
    (folder / "net.param").write_text(f"7767517\n2 2\n{layers}")
    (folder / "net.bin").write_bytes(content)
    return folder / "net.param"


CONVOLUTION = "Convolution c 1 1 in out 0=2 1=1 5=1 6={} -23310=1,1.0e-01\n"


def test_both_number_formats_of_ncnn_are_read(tmp_path: Path) -> None:
    halves = np.array([1, -2, 3, 0.5, 0.25, 6], "<f2")
    floats = np.array([7, 8], "<f4")
    bias = np.array([0.1, 0.2], "<f4")
    tagged = b"\x47\x6b\x30\x01" + halves.tobytes() + bias.tobytes()
    content = tagged + bytes(4) + floats.tobytes() + bias.tobytes()
    path = write_ncnn(tmp_path, content, CONVOLUTION.format(6) + CONVOLUTION.format(2))
    (first, first_bias), (second, _) = read_ncnn(path)
    assert first.squeeze().tolist() == [[1, -2, 3], [0.5, 0.25, 6]]
    assert second.squeeze().tolist() == [7, 8]
    np.testing.assert_array_equal(first_bias.numpy(), bias)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(8), "ends too early"),
        (bytes(24), "has more than the network"),
        (b"\x01\x02\x03\x04" + bytes(16), "is not plain floats"),
        (bytes(20), "has 1 convolutions, expected the 110"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, expected: str) -> None:
    path = write_ncnn(tmp_path, content, CONVOLUTION.format(2))
    with pytest.raises(CheckpointError, match=expected):
        convert(path)


@pytest.mark.skipif(
    "NANODET_PARAM" not in os.environ,
    reason="NANODET_PARAM names no nanodet-plus-m_416_pnnx.param",
)
@pytest.mark.parametrize("size_px", [320, 416])
def test_detector_equals_ncnn(size_px: int) -> None:
    ncnn = pytest.importorskip("ncnn")
    path = Path(os.environ["NANODET_PARAM"])
    network = YolactNano(NanoConfig()).eval()
    missing = network.load_state_dict(convert(path), strict=False).missing_keys
    assert all(key.startswith(("proto_net.", "head.coefficient")) for key in missing)
    reference = ncnn.Net()
    for option in ("vulkan_compute", "fp16_packed", "fp16_storage", "fp16_arithmetic"):
        setattr(reference.opt, f"use_{option}", False)
    assert reference.load_param(str(path)) == 0
    assert reference.load_model(str(path.with_suffix(".bin"))) == 0
    image_bgr = coloured_blocks(size_px)
    matrix = ncnn.Mat(image_bgr).clone()
    extractor = reference.create_extractor()
    extractor.input("in0", matrix)
    expected = np.array(extractor.extract("out0")[1]).T
    with torch.inference_mode():
        output = network(torch.from_numpy(image_bgr[::-1].copy())[None])
    found = torch.cat([output.class_logits, output.box_offsets], dim=2)[0].numpy()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_bundled_detector_gives_what_ncnn_gave() -> None:
    """Recorded from ncnn at 64 px; the file holds float16."""
    recorded = np.load(Path(__file__).parents[1] / "data" / "nano.npz")["ncnn_64"]
    network = load_network(BUNDLED, input_size_px=64)
    with torch.inference_mode():
        output = network(torch.from_numpy(coloured_blocks(64)[::-1].copy())[None])
    logits = output.class_logits[0] + LOWERED_LOGITS
    found = torch.cat([logits, output.box_offsets[0]], dim=1).numpy()
    assert np.ptp(recorded) > 10
    np.testing.assert_allclose(found, recorded, atol=0.03)


def test_one_prototype_of_the_bundled_file_lowers_the_threshold_of_all_masks() -> None:
    network = load_network(BUNDLED, input_size_px=64)
    with torch.inference_mode():
        output = network(torch.from_numpy(coloured_blocks(64))[None])
    prototypes, coefficients = output.prototypes.flatten(0, 2), output.coefficients.flatten(0, 1)
    (constant,) = torch.nonzero(prototypes.std(dim=0) == 0).flatten().tolist()
    added = prototypes[:, constant].mean() * coefficients[:, constant]
    expected = math.log(1 / MASK_THRESHOLD - 1)
    torch.testing.assert_close(added, torch.full_like(added, expected), atol=1e-3, rtol=0)
