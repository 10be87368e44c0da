"""Network output with NaN, infinite and huge values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up_outputs import (
    EVERYTHING,
    NUM_CLASSES,
    find_candidates,
    full_masks,
    made_up_output,
    made_up_priors,
    processor,
)

from yolact_ros.errors import YolactError
from yolact_ros.inference.device_frame import detect_fixed_shape
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ops.prior_decoder import PriorDecoder


@pytest.mark.parametrize("field", ["box_offsets", "class_logits", "coefficients", "prototypes"])
def test_nan_from_the_network_is_an_error_that_says_so(field: str) -> None:
    output = made_up_output()
    getattr(output, field)[:] = float("nan")
    postprocess = processor()
    with pytest.raises(YolactError, match="produced NaN"):
        postprocess.assemble(postprocess.detect(output, EVERYTHING), output.prototypes[0], 60, 80)


def test_a_single_nan_score_is_noticed_also_by_detection_in_fixed_shapes() -> None:
    output = made_up_output(images=2)
    output.class_logits[1, 17, 3] = float("nan")
    postprocess = processor()
    with pytest.raises(YolactError, match="NaN class scores"):
        postprocess.detect(output, EVERYTHING, image=1)
    assert len(postprocess.detect(output, EVERYTHING)) > 0
    found = detect_fixed_shape(
        output,
        PriorDecoder(made_up_priors()),
        score_threshold=0.0,
        nms_threshold=0.5,
        takes_part=None,
        max_detections=100,
    )
    assert found.counts[0] > 0
    assert found.counts[1] == -1


@pytest.mark.parametrize("class_ids", [None, (4,)])
@pytest.mark.parametrize("column", range(NUM_CLASSES + 1))
@pytest.mark.parametrize("score_threshold", [0.3, 1.0])
def test_a_single_nan_score_is_noticed_in_any_class(
    column: int, class_ids: tuple[int, ...] | None, score_threshold: float
) -> None:
    output = made_up_output()
    output.class_logits[0, 399, column] = float("nan")
    with pytest.raises(YolactError, match="NaN class scores"):
        processor().detect(output, PredictionSettings(score_threshold, class_ids=class_ids))


def test_infinite_boxes_are_left_out() -> None:
    output = made_up_output()
    best = len(processor().detect(output, EVERYTHING))
    output.box_offsets[0, :, 2] = 1e4
    output.box_offsets[0, ::2, 2] = 0
    found = processor().detect(output, EVERYTHING)
    assert 0 < len(found) <= best
    assert np.isfinite(found.boxes_xyxy).all()
    logits, offsets = output.class_logits[0], output.box_offsets[0]
    candidates = find_candidates(logits, offsets, made_up_priors(), 0.05)
    assert np.isfinite(candidates.boxes_xyxy).all()


@pytest.mark.parametrize("class_ids", [None, (0, 2, 4)])
def test_infinite_logits_leave_out_their_box_alone(class_ids: tuple[int, ...] | None) -> None:
    output = made_up_output()
    logits, others = output.class_logits[0], torch.arange(400) != 7
    logits[7] = torch.tensor([0.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    # A class that cannot be: the others share its probability.
    logits[8] = torch.tensor([0.0, 9.0, -float("inf"), 1.0, 1.0, 1.0, 1.0])
    rest = logits[others], output.box_offsets[0, others], made_up_priors()[others]
    expected = find_candidates(*rest, 0.05, class_ids)
    logits[7, 3] = float("inf")
    with np.errstate(all="raise"):
        found = find_candidates(logits, output.box_offsets[0], made_up_priors(), 0.05, class_ids)
    reported = found.class_scores.any(axis=1)
    assert {7, 8} & set(found.rows[reported].tolist()) == {8}
    np.testing.assert_array_equal(
        found.class_scores[reported], expected.class_scores[expected.class_scores.any(axis=1)]
    )


@pytest.mark.parametrize("nms", ["fast", "cross-class", "standard"])
def test_huge_boxes_cover_the_image_and_overflow_nowhere(nms: Any) -> None:
    """As a network with random weights puts them out: their areas exceed float32."""
    output = made_up_output()
    output.box_offsets[0, :, :2] = 0
    output.box_offsets[0, :, 2:] = 430
    settings = PredictionSettings(score_threshold=0.0, top_k=20, nms=nms)
    postprocess = processor()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = postprocess.detect(output, settings)
        prediction = postprocess.assemble(found, output.prototypes[0], 48, 64)
    assert len(found) == 20
    assert (found.boxes_xyxy[:, 2:] > 1e36).all()
    assert prediction.boxes_xyxy.tolist() == [[0, 0, 64, 48]] * 20
    whole = replace(found, boxes_xyxy=np.tile(np.float32([-1, -1, 2, 2]), (20, 1)))
    expected = postprocess.assemble(whole, output.prototypes[0], 48, 64)
    np.testing.assert_array_equal(full_masks(prediction), full_masks(expected))
