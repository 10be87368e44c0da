from __future__ import annotations

import math

import pytest
import torch
from golden_networks import recorded_group
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolact_ros.ops.boxes import (
    cxcywh_to_xyxy,
    decode_boxes,
    encode_boxes,
    intersection_over_area,
    pairwise_iou,
    xyxy_to_cxcywh,
)

corners = st.tuples(*(st.floats(-2, 2, width=32) for _ in range(2)))
sides = st.tuples(*(st.floats(0.015625, 3, width=32) for _ in range(2)))
boxes = st.builds(
    lambda corner, size: (*corner, corner[0] + size[0], corner[1] + size[1]), corners, sides
)


def scalar_overlap(a: list[float], b: list[float]) -> tuple[float, float, float]:
    """Intersection and both areas of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height, (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])


def scalar_decode(offsets: list[float], prior: list[float]) -> list[float]:
    """One box of the box code, in double precision."""
    center_x = prior[0] + offsets[0] * 0.1 * prior[2]
    center_y = prior[1] + offsets[1] * 0.1 * prior[3]
    width = prior[2] * math.exp(0.2 * offsets[2])
    height = prior[3] * math.exp(0.2 * offsets[3])
    return [
        center_x - width / 2,
        center_y - height / 2,
        center_x + width / 2,
        center_y + height / 2,
    ]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return recorded_group("unit", "box")


def test_decoded_boxes_are_the_references(recorded: dict[str, Tensor]) -> None:
    decoded = decode_boxes(recorded["loc"], recorded["priors_cxcywh"])
    torch.testing.assert_close(decoded, recorded["decoded_xyxy"], rtol=0, atol=1e-6)


def test_encoded_boxes_are_the_references(recorded: dict[str, Tensor]) -> None:
    encoded = encode_boxes(recorded["gt_xyxy"], recorded["priors_cxcywh"])
    torch.testing.assert_close(encoded, recorded["encoded"], rtol=1e-5, atol=1e-5)


def test_overlaps_are_the_references(recorded: dict[str, Tensor]) -> None:
    iou = pairwise_iou(recorded["iou_a"], recorded["iou_b"])
    torch.testing.assert_close(iou, recorded["iou"], rtol=0, atol=1e-6)


def test_overlap_with_crowds_is_relative_to_the_other_box(recorded: dict[str, Tensor]) -> None:
    # The reference divides by the area of its first argument, ours by that of the second.
    share = intersection_over_area(recorded["iou_b"], recorded["iou_a"]).T
    torch.testing.assert_close(share, recorded["iou_crowd"], rtol=0, atol=1e-6)


def test_every_row_is_decoded_with_its_own_prior_in_every_image() -> None:
    torch.manual_seed(0)
    offsets, priors = torch.randn(2, 5, 4).double(), torch.rand(5, 4).double()
    decoded = decode_boxes(offsets, priors)
    for image in range(2):
        for row in range(5):
            expected = scalar_decode(offsets[image, row].tolist(), priors[row].tolist())
            assert decoded[image, row].tolist() == pytest.approx(expected, abs=1e-12)


def test_all_pairs_of_boxes_overlap_as_counted_by_hand_in_batches() -> None:
    torch.manual_seed(0)
    a = cxcywh_to_xyxy(torch.rand(2, 6, 4).double())
    b = cxcywh_to_xyxy(torch.rand(2, 3, 4).double())
    iou, share = pairwise_iou(a, b), intersection_over_area(a, b)
    assert iou.shape == share.shape == (2, 6, 3)
    for image in range(2):
        for m in range(6):
            for n in range(3):
                both, area_a, area_b = scalar_overlap(a[image, m].tolist(), b[image, n].tolist())
                assert iou[image, m, n].item() == pytest.approx(both / (area_a + area_b - both))
                assert share[image, m, n].item() == pytest.approx(both / area_b)


@settings(max_examples=50)
@given(st.lists(boxes, min_size=1, max_size=8), st.lists(boxes, min_size=8, max_size=8))
def test_encoding_undoes_decoding(
    targets: list[tuple[float, ...]], priors: list[tuple[float, ...]]
) -> None:
    wanted = torch.tensor(targets, dtype=torch.float64)
    priors_cxcywh = xyxy_to_cxcywh(torch.tensor(priors[: len(targets)], dtype=torch.float64))
    decoded = decode_boxes(encode_boxes(wanted, priors_cxcywh), priors_cxcywh)
    torch.testing.assert_close(decoded, wanted, rtol=0, atol=1e-9)


@settings(max_examples=50)
@given(st.lists(boxes, min_size=1, max_size=8))
def test_overlap_is_symmetric_between_zero_and_one_and_one_with_itself(
    values: list[tuple[float, ...]],
) -> None:
    iou = pairwise_iou(*2 * (torch.tensor(values, dtype=torch.float64),))
    torch.testing.assert_close(iou, iou.T)
    torch.testing.assert_close(iou.diagonal(), torch.ones(len(values), dtype=torch.float64))
    assert (iou >= 0).all()
    assert (iou <= 1 + 1e-12).all()


@settings(max_examples=50)
@given(st.lists(boxes, min_size=1, max_size=8))
def test_forms_convert_back_and_forth(values: list[tuple[float, ...]]) -> None:
    points = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(points)), points)


def test_boxes_that_only_touch_do_not_overlap() -> None:
    a, b = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 2.0, 1.0]])
    assert pairwise_iou(a, b).item() == 0


def test_no_boxes_give_empty_tables() -> None:
    assert pairwise_iou(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
    assert decode_boxes(torch.zeros(2, 0, 4), torch.zeros(0, 4)).shape == (2, 0, 4)
