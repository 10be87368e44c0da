"""Non-maximum suppression against slow twins and the recorded reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nms_twins as twins
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.ops.boxes import decode_boxes, pairwise_iou
from yolact_ros.ops.nms import cross_class_fast_nms, fast_nms, standard_nms
from yolact_ros.ops.static_nms import static_fast_nms
from yolact_ros.ops.suppression import select_fast_nms
from yolact_ros.structures import Detections

DATA = Path(__file__).parents[1] / "data"
BOTH_FORMS = pytest.mark.parametrize("static", [False, True], ids=["host", "static"])


def run(algorithm: Any, boxes: np.ndarray, scores: np.ndarray, **options: Any) -> list[twins.Row]:
    """Detections of one image; the coefficient of a box is its row."""
    coefficients = torch.arange(len(boxes), dtype=torch.float32)[None, :, None]
    found = algorithm(
        torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None], coefficients, **options
    )
    return rows_of(found, boxes)


def rows_of(found: Detections, boxes: np.ndarray, image: int = 0) -> list[twins.Row]:
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
    unit: dict[str, np.ndarray], name: str, options: dict[str, int], static: bool
) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    found = run(fast_nms, unit["nms/boxes"], scores, static=static, **options)
    check_against_unit(found, unit, name)


def test_cross_class_nms_selects_the_rows_the_reference_does(unit: dict[str, np.ndarray]) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    check_against_unit(
        run(cross_class_fast_nms, unit["nms/boxes"], scores), unit, "cross_class_top200"
    )


def test_standard_nms_selects_the_rows_the_reference_does(unit: dict[str, np.ndarray]) -> None:
    scores = np.ascontiguousarray(unit["nms/conf_with_background"][:, 1:])
    check_against_unit(run(standard_nms, unit["nms/boxes"], scores), unit, "traditional")


def check_against_unit(found: list[twins.Row], unit: dict[str, np.ndarray], name: str) -> None:
    rows, classes, scores = zip(*found, strict=True)
    np.testing.assert_array_equal(rows, unit[f"nms/{name}_index"])
    np.testing.assert_array_equal(classes, unit[f"nms/{name}_class"])
    np.testing.assert_allclose(scores, unit[f"nms/{name}_score"], atol=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "prefix", "options"),
    [
        (fast_nms, "fast", {"static": False}),
        (fast_nms, "fast", {"static": True}),
        (cross_class_fast_nms, "cc", {}),
        (standard_nms, "trad", {}),
    ],
)
def test_detections_of_the_recorded_network_output_are_the_references(
    recorded: dict[str, np.ndarray], algorithm: Any, prefix: str, options: dict[str, bool]
) -> None:
    boxes = decode_boxes(
        torch.from_numpy(recorded["passing_loc"]), torch.from_numpy(recorded["passing_priors"])
    )
    found = algorithm(
        boxes[None],
        torch.from_numpy(recorded["passing_conf"])[None, :, 1:],
        torch.from_numpy(recorded["passing_mask"])[None],
        **options,
    )
    count = int(found.counts[0])
    assert count == len(recorded[f"{prefix}_class"])
    np.testing.assert_array_equal(found.class_ids[0, :count], recorded[f"{prefix}_class"])
    for name, values in (
        ("box", found.boxes_xyxy),
        ("score", found.scores),
        ("mask", found.coefficients),
    ):
        np.testing.assert_allclose(values[0, :count], recorded[f"{prefix}_{name}"], atol=1e-4)


@BOTH_FORMS
@pytest.mark.parametrize("num_objects", [1, 4, 30])
def test_fast_nms_is_the_one_by_one_algorithm(num_objects: int, static: bool) -> None:
    boxes, scores = twins.crowded_boxes(num_objects, 90, 12, num_objects)
    found = run(fast_nms, boxes, scores, static=static)
    assert found == twins.fast_nms_one_by_one(boxes, scores)


@BOTH_FORMS
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_fast_nms_is_the_one_by_one_algorithm_also_where_scores_and_boxes_are_equal(
    static: bool, data: st.DataObject
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
    found = run(fast_nms, boxes, scores, static=static, **options)
    assert found == twins.fast_nms_one_by_one(boxes, scores, **options)


@pytest.mark.parametrize("num_objects", [2, 400])
def test_more_boxes_than_are_tried_first_give_the_same_result(num_objects: int) -> None:
    boxes, scores = twins.crowded_boxes(7, 2000, 6, num_objects)
    found = run(fast_nms, boxes, scores, static=False)
    assert [row[:2] for row in found] == fast_nms_densely(boxes, scores)


@pytest.mark.parametrize("favour", ["sampled", "others", "nobody"])
def test_crowds_that_a_sample_misjudges_give_the_same_result(favour: str) -> None:
    """More detections are asked for than there are, so all pairs that compete are ranked."""
    random = np.random.default_rng(23)
    scores = random.uniform(0.1, 0.3, (4000, 12)).astype(np.float32)
    if favour == "nobody":
        scores = np.round(scores, 1)
    else:
        is_sampled = np.arange(4000) % (4000 // 256) == 0
        scores[is_sampled == (favour == "sampled")] *= 3
    corners = random.uniform(0, 4, (4000, 2))
    boxes = np.concatenate((corners, corners + 0.5), axis=1).astype(np.float32)
    found = run(fast_nms, boxes, scores, static=False, max_detections=2400)
    assert 200 < len(found) < 2400
    assert [row[:2] for row in found] == fast_nms_densely(boxes, scores, 2400)


def fast_nms_densely(
    boxes: np.ndarray, scores: np.ndarray, max_detections: int = 100
) -> list[tuple[int, int]]:
    """Row and class of each detection, in tensor operations: one by one takes minutes."""
    num_classes = scores.shape[1]
    values, rows = torch.from_numpy(scores.T.copy()).sort(dim=1, descending=True, stable=True)
    values, rows = values[:, :200], rows[:, :200]
    ranked = torch.from_numpy(boxes)[rows]
    kept = pairwise_iou(ranked, ranked).triu(1).amax(dim=1) <= 0.5
    class_ids = torch.arange(num_classes)[:, None].expand_as(rows)[kept]
    order = values[kept].sort(descending=True, dim=0, stable=True).indices[:max_detections]
    return list(zip(rows[kept][order].tolist(), class_ids[order].tolist(), strict=True))


def test_fast_nms_keeps_the_best_box_of_every_class() -> None:
    boxes, scores = twins.crowded_boxes(3, 60, 10, 1)
    found = run(fast_nms, boxes, scores)
    for class_id in range(10):
        assert (int(scores[:, class_id].argmax()), class_id) in [row[:2] for row in found]


def test_a_suppressed_box_still_suppresses_others_in_fast_nms_and_not_in_the_standard_one() -> (
    None
):
    row = np.array([[0, 0, 0.4, 0.4], [0.1, 0, 0.5, 0.4], [0.2, 0, 0.6, 0.4]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    assert [item[0] for item in run(fast_nms, row, scores)] == [0]
    assert [item[0] for item in run(standard_nms, row, scores)] == [0, 2]


@BOTH_FORMS
def test_an_overlap_of_exactly_the_threshold_does_not_suppress(static: bool) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.5]], np.float32)
    scores = np.array([[0.9], [0.8]], np.float32)
    assert len(run(fast_nms, boxes, scores, static=static)) == 2
    assert len(run(fast_nms, boxes, scores, static=static, iou_threshold=0.49)) == 1


def test_an_overlap_of_exactly_the_threshold_suppresses_in_standard_nms() -> None:
    """Of 16 x 16 and 16 x 8 pixels: the last row and column count."""
    boxes = np.array([[0, 0, 15, 15], [0, 0, 15, 7]], np.float32) / 16
    scores = np.array([[0.9], [0.8]], np.float32)
    assert len(run(standard_nms, boxes, scores, input_size_px=16)) == 1
    assert len(run(standard_nms, boxes, scores, input_size_px=16, iou_threshold=0.51)) == 2


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.1, 0.3, 0.6])
def test_a_display_threshold_is_a_cut_of_the_full_result(threshold: float) -> None:
    """What cannot be shown suppresses nothing that can, so it need not take part at all."""
    boxes, scores = twins.crowded_boxes(11, 120, 8, 6)
    everything = run(fast_nms, boxes, scores, max_detections=1000)
    shown = [item for item in everything if item[2] > threshold]
    assert 0 < len(shown) < len(everything)
    options = {"max_detections": 1000, "display_threshold": threshold}
    assert run(fast_nms, boxes, scores, **options) == shown
    floor = max(threshold, 0.05)
    assert run(fast_nms, boxes, scores, score_threshold=floor, **options) == shown


@BOTH_FORMS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_not_finite_are_left_out(static: bool, bad: float) -> None:
    boxes, scores = twins.crowded_boxes(5, 40, 6, 4)
    broken = boxes.copy()
    broken[[3, 17, 30], [0, 2, 3]] = bad
    rest = [row for row in range(40) if row not in (3, 17, 30)]
    expected = [
        (rest[row], class_id, score)
        for row, class_id, score in run(fast_nms, boxes[rest], scores[rest])
    ]
    assert run(fast_nms, broken, scores, static=static) == expected


@BOTH_FORMS
def test_boxes_with_nan_scores_are_left_out(static: bool) -> None:
    boxes, scores = twins.crowded_boxes(5, 40, 6, 4)
    broken = scores.copy()
    broken[9, 2] = broken[21] = np.nan
    found = run(fast_nms, boxes, broken, static=static)
    assert found
    assert not {9, 21} & {row for row, _, _ in found}
    assert np.isfinite([score for _, _, score in found]).all()


@BOTH_FORMS
def test_images_of_a_batch_do_not_touch_each_other(static: bool) -> None:
    images = [twins.crowded_boxes(seed, 50, 6, objects) for seed, objects in ((1, 2), (2, 9))]
    images.append((images[0][0], np.zeros_like(images[0][1])))
    found = fast_nms(
        torch.from_numpy(np.stack([boxes for boxes, _ in images])),
        torch.from_numpy(np.stack([scores for _, scores in images])),
        torch.arange(50.0)[None, :, None].expand(3, -1, -1),
        max_detections=30,
        static=static,
    )
    assert found.counts.tolist()[2] == 0
    for image, (boxes, scores) in enumerate(images):
        expected = twins.fast_nms_one_by_one(boxes, scores, max_detections=30)
        assert rows_of(found, boxes, image) == expected


@BOTH_FORMS
def test_padding_is_zero_and_shapes_do_not_depend_on_the_content(static: bool) -> None:
    boxes, scores = twins.crowded_boxes(1, 10, 3, 2)
    found = fast_nms(
        torch.from_numpy(boxes)[None],
        torch.from_numpy(scores)[None],
        torch.ones(1, 10, 5),
        static=static,
    )
    count = int(found.counts[0])
    assert 0 < count < 100
    assert found.boxes_xyxy.shape == (1, 100, 4)
    assert found.coefficients.shape == (1, 100, 5)
    assert found.class_ids.dtype == found.counts.dtype == torch.int64
    for values in (found.boxes_xyxy, found.scores, found.class_ids, found.coefficients):
        assert not values[0, count:].any()


def test_the_static_form_leaves_out_only_what_scores_below_its_limit() -> None:
    boxes, scores = twins.crowded_boxes(13, 300, 5, 20)
    best = np.sort(scores.max(axis=1))[::-1]
    exact = run(fast_nms, boxes, scores, static=False)
    limited = run(static_fast_nms, boxes, scores, max_boxes=80)
    sure = [item for item in exact if item[2] > best[80]]
    assert len(sure) > 10
    assert limited[: len(sure)] == sure


def test_cross_class_and_standard_nms_are_the_one_by_one_algorithms() -> None:
    boxes, scores = twins.crowded_boxes(17, 150, 8, 12)
    assert run(cross_class_fast_nms, boxes, scores) == twins.cross_class_nms_one_by_one(
        boxes, scores
    )
    assert run(standard_nms, boxes, scores) == twins.standard_nms_one_by_one(boxes, scores)


def test_no_candidates_give_no_selection() -> None:
    selection = select_fast_nms(
        np.zeros((0, 4), np.float32),
        np.zeros((0, 80), np.float32),
        iou_threshold=0.5,
        max_candidates_per_class=200,
        max_detections=100,
        display_threshold=0.0,
    )
    assert [len(values) for values in selection] == [0, 0, 0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_static_form_does_not_wait_for_the_device() -> None:
    boxes, scores = twins.crowded_boxes(19, 2000, 80, 30)
    arguments = [torch.from_numpy(values)[None].cuda() for values in (boxes, scores)]
    arguments.append(torch.arange(2000.0, device="cuda")[None, :, None])
    fast_nms(*arguments)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = fast_nms(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    host = Detections(*(getattr(found, name).cpu() for name in Detections.__dataclass_fields__))
    assert rows_of(host, boxes) == run(fast_nms, boxes, scores, static=True)
