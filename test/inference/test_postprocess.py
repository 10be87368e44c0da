"""Raw network output to instances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nms_twins as twins
import numpy as np
import pytest
import torch
from devices import needs_cuda
from golden_networks import recorded_arrays
from made_up_outputs import (
    CONFIG,
    EVERYTHING,
    NUM_CLASSES,
    full_masks,
    made_up_output,
    made_up_priors,
    processor,
    rows_of,
)

from yolact_ros.errors import ConfigError
from yolact_ros.inference.device_frame import detect_fixed_shape
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact
from yolact_ros.ops.boxes import decode_boxes
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.structures import Detections, NetworkOutput


@pytest.mark.parametrize(
    ("nms", "prefix", "top_k"),
    [("fast", "fast", 100), ("cross-class", "cc", 200), ("standard", "trad", 100)],
)
def test_detections_of_the_golden_network_are_the_references(
    r50_network: Yolact, r50_output: NetworkOutput, nms: Any, prefix: str, top_k: int
) -> None:
    recorded = recorded_arrays("r50_infer")
    postprocess = Postprocessor(r50_network.config, r50_network.decoder)
    settings = PredictionSettings(score_threshold=0.0, top_k=top_k, nms=nms)
    found = postprocess.detect(r50_output, settings)
    np.testing.assert_array_equal(found.class_ids, recorded[f"{prefix}_class"])
    for name, values in (
        ("box", found.boxes_xyxy),
        ("score", found.scores),
        ("mask", found.coefficients),
    ):
        np.testing.assert_allclose(values, recorded[f"{prefix}_{name}"], atol=1e-4)


def test_masks_and_boxes_of_the_golden_network_are_the_references(
    r50_network: Yolact, r50_output: NetworkOutput
) -> None:
    recorded = recorded_arrays("r50_infer")
    postprocess = Postprocessor(r50_network.config, r50_network.decoder)
    found = postprocess.detect(r50_output, EVERYTHING)
    prediction = postprocess.assemble(found, r50_output.prototypes[0], 480, 640)
    expected = np.unpackbits(recorded["fast_post_mask_bits"], axis=1).reshape(-1, 480, 640) > 0
    masks = full_masks(prediction)
    both, either = (masks & expected).sum(axis=(1, 2)), (masks | expected).sum(axis=(1, 2))
    assert (both >= 0.999 * either).all()
    # The reference cut them to whole pixels.
    beyond_px = prediction.boxes_xyxy - recorded["fast_post_box"]
    assert ((beyond_px > -0.01) & (beyond_px < 1.01)).all()


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 480), (1280, 720)])
def test_the_display_threshold_shows_as_many_masks_as_the_reference(
    r50_network: Yolact, r50_output: NetworkOutput, width_px: int, height_px: int
) -> None:
    recorded = recorded_arrays("r50_infer")
    size = "" if width_px == 640 else f"_{width_px}x{height_px}"
    postprocess = Postprocessor(r50_network.config, r50_network.decoder)
    settings = PredictionSettings(score_threshold=0.15, top_k=100)
    found = postprocess.detect(r50_output, settings)
    prediction = postprocess.assemble(found, r50_output.prototypes[0], height_px, width_px)
    assert len(prediction) == recorded["fast_thr015_count"]
    areas = full_masks(prediction).sum(axis=(1, 2))
    np.testing.assert_allclose(areas, recorded[f"fast_thr015{size}_mask_area"], atol=2)


@pytest.mark.parametrize("class_ids", [None, (0,), (1, 4), (5, 2, 0)])
@pytest.mark.parametrize("score_threshold", [0.0, 0.02, 0.3])
def test_detections_are_those_of_the_whole_softmax_one_by_one(
    class_ids: tuple[int, ...] | None, score_threshold: float
) -> None:
    """A class filter decides which classes compete; the softmax is over all of them."""
    output = made_up_output()
    settings = PredictionSettings(score_threshold, top_k=60, class_ids=class_ids)
    found = processor().detect(output, settings)
    scores = output.class_logits[0].softmax(dim=1)[:, 1:]
    columns = sorted(class_ids or range(NUM_CLASSES))
    boxes = decode_boxes(output.box_offsets[0], made_up_priors())
    expected = twins.fast_nms_one_by_one(
        boxes.numpy(),
        scores[:, columns].contiguous().numpy(),
        max_detections=60,
        display_threshold=score_threshold,
    )
    assert expected
    assert [row[0] for row in rows_of(found)] == [columns[row[1]] for row in expected]
    np.testing.assert_allclose(
        [row[1] for row in rows_of(found)], [row[2] for row in expected], rtol=1e-6
    )
    np.testing.assert_allclose(found.boxes_xyxy, boxes[[row[0] for row in expected]], atol=1e-6)


def test_logits_in_half_precision_are_taken() -> None:
    output = made_up_output()
    half = NetworkOutput(*(value.bfloat16() for value in output[:4]))
    single = NetworkOutput(*(value.float() for value in half[:4]))
    found, expected = (processor().detect(o, EVERYTHING) for o in (half, single))
    assert rows_of(found) == rows_of(expected)
    prediction = processor().assemble(found, half.prototypes[0], 48, 64)
    assert prediction.scores.dtype == np.float32


def test_detection_in_fixed_shapes_finds_the_same() -> None:
    """As it runs on a device."""
    output = made_up_output(seed=3, images=2)
    for settings in (
        EVERYTHING,
        PredictionSettings(score_threshold=0.3, top_k=7),
        PredictionSettings(score_threshold=0.1, class_ids=(4, 1)),
    ):
        takes_part = torch.tensor(
            [settings.class_ids is None or c in settings.class_ids for c in range(NUM_CLASSES)]
        )
        fixed_shape = detect_fixed_shape(
            output,
            PriorDecoder(made_up_priors()),
            score_threshold=settings.score_threshold,
            nms_threshold=settings.nms_threshold,
            takes_part=takes_part,
            max_detections=settings.top_k,
        )
        for image in range(2):
            on_host = processor().detect(output, settings, image=image)
            count = int(fixed_shape.counts[image])
            assert len(on_host) == count > 0
            for name in ("class_ids", "scores", "boxes_xyxy", "coefficients"):
                on_device = getattr(fixed_shape, name)[image, :count]
                np.testing.assert_allclose(getattr(on_host, name), on_device, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("nms", ["fast", "cross-class", "standard"])
def test_detections_are_arrays_of_their_own_with_a_row_for_each(nms: Any) -> None:
    """The next image, in the same memory, leaves them as they are."""
    settings = PredictionSettings(score_threshold=0.5, top_k=100, nms=nms)
    postprocess = processor()
    found = postprocess.detect(made_up_output(), settings)
    assert 0 < len(found) < 100
    arrays = (found.boxes_xyxy, found.scores, found.class_ids, found.coefficients)
    assert [values.shape[1:] for values in arrays] == [(4,), (), (), (4,)]
    assert [values.dtype for values in arrays] == [np.float32, np.float32, np.int64, np.float32]
    before = [values.copy() for values in arrays]
    postprocess.detect(made_up_output(seed=1), settings)
    for values, earlier in zip(arrays, before, strict=True):
        assert len(values) == len(found)
        np.testing.assert_array_equal(values, earlier)


def test_every_image_of_a_batch_has_its_own_detections_and_masks() -> None:
    output = made_up_output(seed=4, images=3)
    postprocess = processor()
    for image in range(3):
        together = postprocess.detect(output, EVERYTHING, image=image)
        own = NetworkOutput(*(value[image : image + 1] for value in output[:4]))
        alone = postprocess.detect(own, EVERYTHING)
        assert rows_of(together) == rows_of(alone)
        first = postprocess.assemble(together, output.prototypes[image], 60, 80)
        second = postprocess.assemble(alone, own.prototypes[0], 60, 80)
        np.testing.assert_array_equal(full_masks(first), full_masks(second))


def test_boxes_are_clipped_to_the_image_and_in_order() -> None:
    detections = Detections(
        boxes_xyxy=np.float32([[-0.5, 0.25, 0.5, 2.0], [0.75, 0.5, 0.25, 0.0]]),
        scores=np.float32([0.9, 0.8]),
        class_ids=np.int64([1, 2]),
        coefficients=np.zeros((2, 4), np.float32),
    )
    prediction = processor().assemble(detections, torch.zeros(10, 10, 4), 80, 200)
    assert prediction.boxes_xyxy.tolist() == [[0, 20, 100, 80], [50, 0, 150, 40]]
    assert (prediction.image_height_px, prediction.image_width_px) == (80, 200)


def test_fewer_instances_and_no_masks_can_be_asked_for() -> None:
    output = made_up_output()
    postprocess = processor()
    found = postprocess.detect(output, EVERYTHING)
    everything = postprocess.assemble(found, output.prototypes[0], 60, 80)
    few = postprocess.assemble(found, output.prototypes[0], 60, 80, max_instances=2)
    assert few.scores.tolist() == everything.scores[:2].tolist()
    assert len(few.mask_crops) == 2
    boxes = postprocess.assemble(found, output.prototypes[0], 60, 80, masks=False)
    assert boxes.mask_crops == ()
    np.testing.assert_array_equal(boxes.boxes_xyxy, everything.boxes_xyxy)


def test_an_image_without_instances_gives_an_empty_prediction() -> None:
    output = made_up_output()
    output.class_logits[..., 0] = 50
    postprocess = processor()
    found = postprocess.detect(output, EVERYTHING)
    prediction = postprocess.assemble(found, output.prototypes[0], 60, 80)
    assert len(prediction) == 0
    assert prediction.boxes_xyxy.shape == (0, 4)
    assert prediction.mask_crops == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"score_threshold": 1.5}, "score_threshold is 1.5, expected 0..1"),
        ({"nms_threshold": -0.1}, "nms_threshold is -0.1"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"top_k": 0}, "top_k is 0, expected 1..200"),
        ({"nms": "soft"}, "nms is 'soft', expected one of fast"),
        ({"class_ids": ()}, "class_ids is ()"),
        ({"class_ids": (1, 1)}, "twice"),
    ],
)
def test_settings_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        PredictionSettings(**values)
    assert message in str(error.value)


def test_a_class_that_the_network_does_not_have_is_named() -> None:
    with pytest.raises(ConfigError, match=r"class_ids has 6, but yolact_light has .* 0..5"):
        processor().detect(made_up_output(), PredictionSettings(class_ids=(1, 6)))


@needs_cuda
@pytest.mark.parametrize("nms", ["fast", "cross-class", "standard"])
@pytest.mark.parametrize("rescores", [False, True])
def test_output_on_a_device_gives_the_predictions_of_the_host(nms: Any, rescores: bool) -> None:
    def quality(masks: torch.Tensor) -> torch.Tensor:
        return masks.mean(dim=(2, 3)).expand(-1, NUM_CLASSES)

    output = made_up_output(seed=6)
    predictions = []
    for device in ("cpu", "cuda"):
        moved = NetworkOutput(*(value.to(device) for value in output[:4]))
        postprocess = Postprocessor(
            CONFIG,
            PriorDecoder(made_up_priors().to(device)),
            mask_rescoring=quality if rescores else None,
        )
        found = postprocess.detect(moved, replace(EVERYTHING, nms=nms))
        predictions.append(postprocess.assemble(found, moved.prototypes[0], 60, 80))
    first, second = predictions
    np.testing.assert_array_equal(first.class_ids, second.class_ids)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)
    assert (full_masks(first) != full_masks(second)).mean() < 1e-4
