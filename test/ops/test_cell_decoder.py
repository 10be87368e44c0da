"""Boxes and scores of an anchor-free detector."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from yolact_ros.errors import YolactError
from yolact_ros.ops.cell_decoder import CellDecoder, cell_centers
from yolact_ros.structures import NetworkOutput

SIZE_PX = 96
NUM_CELLS = 12**2 + 6**2 + 3**2 + 2**2


def made_up_output(classes: int = 5, scale: float = 3.0) -> NetworkOutput:
    generator = torch.Generator().manual_seed(0)
    return NetworkOutput(
        box_offsets=torch.randn(2, NUM_CELLS, 32, generator=generator) * scale,
        class_logits=torch.randn(2, NUM_CELLS, classes, generator=generator) * scale - scale,
        coefficients=torch.zeros(2, NUM_CELLS, 4),
        prototypes=torch.zeros(2, 24, 24, 4),
    )


def slow_box(logits: list[float], x: float, y: float, stride: float) -> list[float]:
    """The expected distances of one cell, relative to the input."""
    distances = []
    for side in range(4):
        weights = [math.exp(value) for value in logits[8 * side : 8 * side + 8]]
        distances.append(stride * sum(i * w for i, w in enumerate(weights)) / sum(weights))
    left, top, right, bottom = distances
    return [v / SIZE_PX for v in (x - left, y - top, x + right, y + bottom)]


def test_cells_lie_at_multiples_of_their_stride_fine_to_coarse() -> None:
    centers = cell_centers(SIZE_PX)
    assert centers.shape == (NUM_CELLS, 3)
    assert centers[:2].tolist() == [[0, 0, 8], [8, 0, 8]]
    assert centers[12].tolist() == [0, 8, 8]
    assert centers[144 + 7].tolist() == [16, 16, 16]
    assert centers[-1].tolist() == [64, 64, 64]


def test_boxes_and_scores_are_the_slow_ones() -> None:
    output = made_up_output()
    boxes_xyxy, scores = CellDecoder(SIZE_PX).decode(output)
    cells = cell_centers(SIZE_PX).tolist()
    expected = [
        [slow_box(row.tolist(), *cell) for row, cell in zip(image, cells, strict=True)]
        for image in output.box_offsets
    ]
    torch.testing.assert_close(boxes_xyxy, torch.tensor(expected), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores, 1 / (1 + (-output.class_logits).exp()))


@pytest.mark.parametrize("class_ids", [None, (1, 3), ()])
@pytest.mark.parametrize("floor", [0.05, 0.5, 0.99, 1.0])
def test_candidates_are_the_decoded_rows_above_the_floor(
    class_ids: tuple[int, ...] | None, floor: float
) -> None:
    output = made_up_output()
    decoder = CellDecoder(SIZE_PX)
    expected = super(CellDecoder, decoder).candidates(output, 1, floor, class_ids)
    found = decoder.candidates(output, 1, floor, class_ids)
    assert len(expected.rows) > 0 or floor == 1.0 or class_ids == ()
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-6)
    np.testing.assert_allclose(found.class_scores, expected.class_scores, rtol=1e-5)


def test_extreme_logits_give_finite_boxes() -> None:
    output = made_up_output(scale=1e4)
    found = CellDecoder(SIZE_PX).candidates(output, 0, 0.3)
    assert len(found.rows) > 0
    assert np.isfinite(found.boxes_xyxy).all()


@pytest.mark.parametrize(
    ("field", "named"), [("box_offsets", "boxes"), ("class_logits", "class scores")]
)
def test_a_damaged_network_is_reported(field: str, named: str) -> None:
    output = made_up_output()
    getattr(output, field)[0, 3, 1] = math.nan
    with pytest.raises(YolactError, match=named):
        CellDecoder(SIZE_PX).candidates(output, 0, 0.3)


def test_on_another_device_nothing_of_the_host_is_needed() -> None:
    output = NetworkOutput(*(tensor.to("meta") for tensor in made_up_output()[:4]))
    boxes_xyxy, scores = CellDecoder(SIZE_PX, "meta").decode(output)
    assert (boxes_xyxy.device.type, scores.device.type) == ("meta", "meta")
    assert boxes_xyxy.shape == (2, NUM_CELLS, 4)
    with pytest.raises(RuntimeError, match="device"):
        CellDecoder(SIZE_PX, "cpu").decode(output)
