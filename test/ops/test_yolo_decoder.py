"""Candidates from YOLO's outputs: those of decoding everything, by one comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolact_ros.errors import YolactError
from yolact_ros.ops.decoder import Candidates, OutputDecoder
from yolact_ros.ops.yolo_decoder import YoloDecoder, YoloRowDecoder
from yolact_ros.structures import NetworkOutput


def raw_output(seed: int = 0, boxes: int = 300, classes: int = 5) -> NetworkOutput:
    """Value by value, as networks give it: tensors that are views of ``[4 + C + k, n]``."""
    random = torch.Generator().manual_seed(seed)
    values = torch.rand(2, 4 + classes + 3, boxes, generator=random) ** 3
    last = 4 + classes
    by_box = values.transpose(1, 2)
    return NetworkOutput(
        by_box[:, :, :4], by_box[:, :, 4:last], by_box[:, :, last:], torch.zeros(2, 8, 8, 3)
    )


def row_output() -> NetworkOutput:
    """Three rows and a filler, as an export with NMS pads."""
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.4, 0.9], [0, 0, 1, 1], [0, 0, 0, 0]])
    scores = torch.tensor([[0.9, 1], [0.4, 0], [0.2, 2], [0, 0]])
    return NetworkOutput(
        boxes[None].float(), scores[None], torch.ones(1, 4, 3), torch.zeros(1, 8, 8, 3)
    )


@pytest.mark.parametrize("floor", [0.001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("class_ids", [None, (0,), (1, 4)])
@pytest.mark.parametrize("image", [0, 1])
def test_candidates_are_what_decoding_everything_leaves_above_the_floor(
    floor: float, class_ids: tuple[int, ...] | None, image: int
) -> None:
    output, decoder = raw_output(), YoloDecoder()
    found = decoder.candidates(output, image, floor, class_ids)
    expected = OutputDecoder.candidates(decoder, output, image, floor, class_ids)
    # Rows of other classes may stay, with scores of 0.
    reported = found.class_scores.max(axis=1, initial=0) > floor
    np.testing.assert_array_equal(found.rows[reported], expected.rows)
    np.testing.assert_allclose(found.boxes_xyxy[reported], expected.boxes_xyxy, atol=1e-7)
    np.testing.assert_array_equal(found.class_scores[reported], expected.class_scores)
    assert not found.class_scores[~reported].any()


def test_a_box_competes_as_its_best_class_only() -> None:
    output = raw_output(classes=2, boxes=1)
    output.class_logits[0, 0] = torch.tensor([0.6, 0.8])
    (scores,) = YoloDecoder().candidates(output, 0, 0.5).class_scores
    assert scores.tolist() == pytest.approx([0, 0.8])
    nothing: Candidates = YoloDecoder().candidates(output, 0, 0.5, (0,))
    assert not nothing.class_scores.any()


def test_boxes_are_corners_around_their_centre() -> None:
    output = raw_output(boxes=1)
    output.box_offsets[0, 0] = torch.tensor([0.5, 0.25, 0.2, 0.1])
    output.class_logits[0, 0, 0] = 0.99
    (box,) = YoloDecoder().candidates(output, 0, 0.5).boxes_xyxy
    assert box.tolist() == pytest.approx([0.4, 0.2, 0.6, 0.3])


def test_rows_become_pairs_of_box_and_class() -> None:
    found = YoloRowDecoder(3).candidates(row_output(), 0, 0.3)
    assert found.rows.tolist() == [0, 1]
    np.testing.assert_allclose(found.class_scores, [[0, 0.9, 0], [0.4, 0, 0]])


@pytest.mark.parametrize("class_id", [-1.0, 99.0, np.nan])
def test_an_unknown_class_of_an_unused_row_does_no_harm(class_id: float) -> None:
    output = row_output()
    output.class_logits[0, 3, 1] = class_id
    assert YoloRowDecoder(3).candidates(output, 0, 0.3).rows.tolist() == [0, 1]


@pytest.mark.parametrize("part", ["boxes", "class scores"])
@pytest.mark.parametrize("decoder", [YoloDecoder(), YoloRowDecoder(5)], ids=["raw", "rows"])
def test_nan_is_an_error(decoder: OutputDecoder, part: str) -> None:
    output = row_output() if isinstance(decoder, YoloRowDecoder) else raw_output()
    (output.box_offsets if part == "boxes" else output.class_logits)[0, 2, 0] = np.nan
    with pytest.raises(YolactError, match=f"NaN {part}"):
        decoder.candidates(output, 0, 0.1)


def test_infinite_boxes_are_left_out() -> None:
    output = raw_output()
    all_rows = YoloDecoder().candidates(output, 0, 0.3).rows.tolist()
    output.box_offsets[0, all_rows[1], 2] = np.inf
    left = YoloDecoder().candidates(output, 0, 0.3)
    assert left.rows.tolist() == [all_rows[0], *all_rows[2:]]
    assert np.isfinite(left.boxes_xyxy).all()
