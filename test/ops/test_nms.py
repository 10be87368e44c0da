"""Non-maximum suppression against slow twins and the recorded reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nms_twins as twins
import numpy as np
import pytest
import torch
from devices import needs_cuda
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.ops.boxes import decode_boxes, pairwise_iou
from yolact_ros.ops.fast_nms import Selection, cross_class_fast_nms, fast_nms
from yolact_ros.ops.fixed_shape_nms import FixedShapeDetections, fixed_shape_fast_nms
from yolact_ros.ops.standard_nms import standard_nms

DATA = Path(__file__).parents[1] / "data"


def select(
    algorithm: Callable[..., Selection],
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float = 0.05,
    **options: Any,
) -> list[twins.Row]:
    """Of the boxes whose best score passes, as postprocessing hands them to the algorithms."""
    passing = np.flatnonzero(scores.max(axis=1, initial=0) > score_threshold)
    defaults = {"iou_threshold": 0.5, "max_detections": 100, "display_threshold": 0.0}
    found = algorithm(boxes[passing], scores[passing], **(defaults | options))
    rows = passing[found.rows].tolist()
    return list(zip(rows, found.class_ids.tolist(), found.scores.tolist(), strict=True))


def fast(boxes: np.ndarray, scores: np.ndarray, **options: Any) -> list[twins.Row]:
    return select(fast_nms, boxes, scores, **({"max_candidates_per_class": 200} | options))


def fixed_shape(boxes: np.ndarray, scores: np.ndarray, **options: Any) -> list[twins.Row]:
    found = fixed_shape_fast_nms(*tensors_of(boxes, scores), **options)
    return rows_of(found, boxes)


def cross_class(boxes: np.ndarray, scores: np.ndarray) -> list[twins.Row]:
    options = {"max_candidates": 200, "max_detections": 200}
    return select(cross_class_fast_nms, boxes, scores, **options)


def standard(boxes: np.ndarray, scores: np.ndarray, **options: Any) -> list[twins.Row]:
    settings = {"display_threshold": 0.05, "input_size_px": 550}
    return select(standard_nms, boxes, scores, **(settings | options))


BOTH_FORMS = pytest.mark.parametrize("form", [fast, fixed_shape])


def tensors_of(boxes: np.ndarray, scores: np.ndarray) -> tuple[torch.Tensor, ...]:
    """Of one image; the coefficient of a box is its row."""
    rows = torch.arange(len(boxes), dtype=torch.float32)
    return torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None], rows[None, :, None]


def rows_of(found: FixedShapeDetections, boxes: np.ndarray, image: int = 0) -> list[twins.Row]:
    count = int(found.counts[image])
    rows = found.coefficients[image, :count, 0].long().numpy()
    np.testing.assert_array_equal(found.boxes_xyxy[image, :count], boxes[rows])
    classes, scores = found.class_ids[image, :count], found.scores[image, :count]
    return list(zip(rows.tolist(), classes.tolist(), scores.tolist(), strict=True))


@pytest.fixture(scope="module")
def unit() -> dict[str, np.ndarray]:
    with np.load(DATA / "unit.npz") as file:
        return {key: file[key] for key in file.files if key.startswith("nms/")}


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(DATA / "r50_infer.npz") as file:
        return {key: file[key] for key in file.files}


@BOTH_FORMS
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fast_top200", {}),
        ("fast_top50", {"max_candidates_per_class": 50}),
        ("fast_top200_nocap", {"max_detections": 400}),
    ],
)
def test_fast_nms_selects_the_rows_the_reference_does(
    unit: dict[str, np.ndarray], name: str, options: dict[str, int], form: Any
) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    found = form(unit["nms/boxes"], scores, **options)
    check_against_unit(found, unit, name)


def test_cross_class_nms_selects_the_rows_the_reference_does(unit: dict[str, np.ndarray]) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    check_against_unit(cross_class(unit["nms/boxes"], scores), unit, "cross_class_top200")


def test_standard_nms_selects_the_rows_the_reference_does(unit: dict[str, np.ndarray]) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    check_against_unit(standard(unit["nms/boxes"], scores), unit, "traditional")


def check_against_unit(found: list[twins.Row], unit: dict[str, np.ndarray], name: str) -> None:
    rows, classes, scores = zip(*found, strict=True)
    np.testing.assert_array_equal(rows, unit[f"nms/{name}_index"])
    np.testing.assert_array_equal(classes, unit[f"nms/{name}_class"])
    np.testing.assert_allclose(scores, unit[f"nms/{name}_score"], atol=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "prefix"),
    [(fast, "fast"), (fixed_shape, "fast"), (cross_class, "cc"), (standard, "trad")],
)
def test_detections_of_the_recorded_network_output_are_the_references(
    recorded: dict[str, np.ndarray], algorithm: Any, prefix: str
) -> None:
    boxes = decode_boxes(
        torch.from_numpy(recorded["passing_loc"]), torch.from_numpy(recorded["passing_priors"])
    ).numpy()
    scores = np.ascontiguousarray(recorded["passing_conf"][:, 1:])
    rows, class_ids, found_scores = zip(*algorithm(boxes, scores), strict=True)
    np.testing.assert_array_equal(class_ids, recorded[f"{prefix}_class"])
    for name, values in (
        ("box", boxes[list(rows)]),
        ("score", found_scores),
        ("mask", recorded["passing_mask"][list(rows)]),
    ):
        np.testing.assert_allclose(values, recorded[f"{prefix}_{name}"], atol=1e-4)


@BOTH_FORMS
@pytest.mark.parametrize("num_objects", [1, 4, 30])
def test_fast_nms_is_the_one_by_one_algorithm(num_objects: int, form: Any) -> None:
    boxes, scores = twins.crowded_boxes(num_objects, 90, 12, num_objects)
    found = form(boxes, scores)
    assert found == twins.fast_nms_one_by_one(boxes, scores)


@BOTH_FORMS
@given(data=st.data())
@settings(max_examples=60)
def test_fast_nms_is_the_one_by_one_algorithm_also_where_scores_and_boxes_are_equal(
    form: Any, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, 24))
    classes = data.draw(st.integers(1, 4))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Few different values: equal scores, equal boxes, overlaps of exactly a half, empty boxes.
    corners = random.integers(0, 4, (count, 2))
    sides = random.integers(0, 4, (count, 2))
    boxes = (np.concatenate((corners, corners + sides), axis=1) / 8).astype(np.float32)
    scores = (random.integers(0, 5, (count, classes)) / 8).astype(np.float32)
    options = {
        "max_candidates_per_class": data.draw(st.sampled_from([1, 3, 200])),
        "max_detections": data.draw(st.sampled_from([1, 5, 100])),
        "score_threshold": data.draw(st.sampled_from([0.05, 0.3])),
        "display_threshold": data.draw(st.sampled_from([0.0, 0.25, 0.4])),
    }
    if count == 0:
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros((0, classes), np.float32)
    found = form(boxes, scores, **options)
    assert found == twins.fast_nms_one_by_one(boxes, scores, **options)


@pytest.mark.parametrize("num_objects", [2, 400])
def test_more_boxes_than_are_tried_first_give_the_same_result(num_objects: int) -> None:
    boxes, scores = twins.crowded_boxes(7, 2000, 6, num_objects)
    found = fast(boxes, scores)
    assert [row[:2] for row in found] == fast_nms_densely(boxes, scores)


def fast_nms_densely(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[int, int]]:
    """Row and class of each detection, in tensor operations: one by one takes minutes."""
    num_classes = scores.shape[1]
    values, rows = torch.from_numpy(scores.T.copy()).sort(dim=1, descending=True, stable=True)
    values, rows = values[:, :200], rows[:, :200]
    ranked = torch.from_numpy(boxes)[rows]
    kept = pairwise_iou(ranked, ranked).triu(1).amax(dim=1) <= 0.5
    class_ids = torch.arange(num_classes)[:, None].expand_as(rows)[kept]
    order = values[kept].sort(descending=True, dim=0, stable=True).indices[:100]
    return list(zip(rows[kept][order].tolist(), class_ids[order].tolist(), strict=True))


def test_fast_nms_keeps_the_best_box_of_every_class() -> None:
    boxes, scores = twins.crowded_boxes(3, 60, 10, 1)
    found = fast(boxes, scores)
    for class_id in range(10):
        assert (int(scores[:, class_id].argmax()), class_id) in [row[:2] for row in found]


def test_a_suppressed_box_still_suppresses_others_in_fast_nms_and_not_in_the_standard_one() -> (
    None
):
    row = np.array([[0, 0, 0.4, 0.4], [0.1, 0, 0.5, 0.4], [0.2, 0, 0.6, 0.4]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    assert [item[0] for item in fast(row, scores)] == [0]
    assert [item[0] for item in standard(row, scores)] == [0, 2]


@BOTH_FORMS
def test_an_overlap_of_exactly_the_threshold_does_not_suppress(form: Any) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.5]], np.float32)
    scores = np.array([[0.9], [0.8]], np.float32)
    assert len(form(boxes, scores)) == 2
    assert len(form(boxes, scores, iou_threshold=0.49)) == 1


def test_an_overlap_of_exactly_the_threshold_suppresses_in_standard_nms() -> None:
    """Of 16 x 16 and 16 x 8 pixels: the last row and column count."""
    boxes = np.array([[0, 0, 15, 15], [0, 0, 15, 7]], np.float32) / 16
    scores = np.array([[0.9], [0.8]], np.float32)
    assert len(standard(boxes, scores, input_size_px=16)) == 1
    assert len(standard(boxes, scores, input_size_px=16, iou_threshold=0.51)) == 2


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.1, 0.3, 0.6])
def test_a_display_threshold_is_a_cut_of_the_full_result(threshold: float) -> None:
    """What cannot be shown suppresses nothing that can, so it need not take part at all."""
    boxes, scores = twins.crowded_boxes(11, 120, 8, 6)
    everything = fast(boxes, scores, max_detections=1000)
    shown = [item for item in everything if item[2] > threshold]
    assert 0 < len(shown) < len(everything)
    options = {"max_detections": 1000, "display_threshold": threshold}
    assert fast(boxes, scores, **options) == shown
    floor = max(threshold, 0.05)
    assert fast(boxes, scores, score_threshold=floor, **options) == shown


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_not_finite_are_left_out(bad: float) -> None:
    boxes, scores = twins.crowded_boxes(5, 40, 6, 4)
    broken = boxes.copy()
    broken[[3, 17, 30], [0, 2, 3]] = bad
    rest = [row for row in range(40) if row not in (3, 17, 30)]
    expected = [
        (rest[row], class_id, score) for row, class_id, score in fast(boxes[rest], scores[rest])
    ]
    assert fixed_shape(broken, scores) == expected


def test_boxes_with_nan_scores_are_left_out() -> None:
    boxes, scores = twins.crowded_boxes(5, 40, 6, 4)
    broken = scores.copy()
    broken[9, 2] = broken[21] = np.nan
    found = fixed_shape(boxes, broken)
    assert found
    assert not {9, 21} & {row for row, _, _ in found}
    assert np.isfinite([score for _, _, score in found]).all()


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    images = [twins.crowded_boxes(seed, 50, 6, objects) for seed, objects in ((1, 2), (2, 9))]
    images.append((images[0][0], np.zeros_like(images[0][1])))
    found = fixed_shape_fast_nms(
        torch.from_numpy(np.stack([boxes for boxes, _ in images])),
        torch.from_numpy(np.stack([scores for _, scores in images])),
        torch.arange(50.0)[None, :, None].expand(3, -1, -1),
        max_detections=30,
    )
    assert found.counts.tolist()[2] == 0
    for image, (boxes, scores) in enumerate(images):
        expected = twins.fast_nms_one_by_one(boxes, scores, max_detections=30)
        assert rows_of(found, boxes, image) == expected


def test_padding_is_zero_and_shapes_do_not_depend_on_the_content() -> None:
    boxes, scores = twins.crowded_boxes(1, 10, 3, 2)
    found = fixed_shape_fast_nms(
        torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None], torch.ones(1, 10, 5)
    )
    count = int(found.counts[0])
    assert 0 < count < 100
    assert found.boxes_xyxy.shape == (1, 100, 4)
    assert found.coefficients.shape == (1, 100, 5)
    assert found.class_ids.dtype == found.counts.dtype == torch.int64
    for values in (found.boxes_xyxy, found.scores, found.class_ids, found.coefficients):
        assert not values[0, count:].any()


def test_the_form_of_fixed_shape_leaves_out_only_what_scores_below_its_limit() -> None:
    boxes, scores = twins.crowded_boxes(13, 300, 5, 20)
    best = np.sort(scores.max(axis=1))[::-1]
    exact = fast(boxes, scores)
    limited = fixed_shape(boxes, scores, max_boxes=80)
    sure = [item for item in exact if item[2] > best[80]]
    assert len(sure) > 10
    assert limited[: len(sure)] == sure


def test_cross_class_and_standard_nms_are_the_one_by_one_algorithms() -> None:
    boxes, scores = twins.crowded_boxes(17, 150, 8, 12)
    assert cross_class(boxes, scores) == twins.cross_class_nms_one_by_one(boxes, scores)
    assert standard(boxes, scores) == twins.standard_nms_one_by_one(boxes, scores)


@pytest.mark.parametrize("margin_px", [0.0, 1.0])
@pytest.mark.parametrize("max_detections", [1, 7, 200])
def test_standard_nms_keeps_to_its_margin_and_number(
    margin_px: float, max_detections: int
) -> None:
    """At 20 pixels a margin of one changes what overlaps."""
    boxes, scores = twins.crowded_boxes(5, 120, 4, 9)
    options = {"input_size_px": 20, "margin_px": margin_px}
    found = standard(boxes, scores, max_detections=max_detections, **options)
    expected = twins.standard_nms_one_by_one(
        boxes, scores, max_detections=max_detections, **options
    )
    assert found == expected
    assert len(found) == min(max_detections, len(standard(boxes, scores, **options)))


def test_no_candidates_give_no_selection() -> None:
    selection = fast_nms(
        np.zeros((0, 4), np.float32),
        np.zeros((0, 80), np.float32),
        iou_threshold=0.5,
        max_candidates_per_class=200,
        max_detections=100,
        display_threshold=0.0,
    )
    assert [len(values) for values in selection] == [0, 0, 0]


@needs_cuda
def test_the_form_of_fixed_shape_does_not_wait_for_the_device() -> None:
    boxes, scores = twins.crowded_boxes(19, 900, 80, 30)
    arguments = [values.cuda() for values in tensors_of(boxes, scores)]
    fixed_shape_fast_nms(*arguments)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = fixed_shape_fast_nms(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    host = FixedShapeDetections(
        *(getattr(found, name).cpu() for name in FixedShapeDetections.__dataclass_fields__)
    )
    assert rows_of(host, boxes) == fixed_shape(boxes, scores)
