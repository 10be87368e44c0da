"""Run lengths in and out, against pycocotools and through messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.reading.messages import (
    INSTANCE_ARRAY,
    BagTopic,
    RawMessage,
    default_typestore,
    read_instances,
    serialize_instances,
)
from yolact_ros.ops.coco_rle import decode_crop

SHAPE = (37, 53)


def blobs(seed: int) -> NDArray[np.bool_]:
    random = np.random.default_rng(seed)
    coarse = random.random((10, 14)) < random.random()
    return coarse.repeat(4, axis=0).repeat(4, axis=1)[: SHAPE[0], : SHAPE[1]]


def counts_of(mask: NDArray[np.bool_]) -> str:
    return str(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode())


MASKS = [
    np.zeros(SHAPE, bool),
    np.ones(SHAPE, bool),
    np.eye(*SHAPE, dtype=bool),
    *(blobs(seed) for seed in range(8)),
]


@pytest.mark.parametrize("mask", MASKS)
def test_a_crop_of_run_lengths_is_the_mask_inside_its_smallest_rectangle(
    mask: NDArray[np.bool_],
) -> None:
    crop = decode_crop(counts_of(mask), *SHAPE)
    full = np.zeros(SHAPE, bool)
    bits = np.unpackbits(crop.bits, count=crop.width * crop.height)
    rows = slice(crop.y_offset, crop.y_offset + crop.height)
    full[rows, crop.x_offset : crop.x_offset + crop.width] = bits.reshape(crop.height, crop.width)
    np.testing.assert_array_equal(full, mask)
    rows_used, columns_used = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    if mask is MASKS[2] or mask.all():
        assert (crop.height, crop.width) == (rows_used, columns_used)


def test_run_lengths_of_another_image_are_refused() -> None:
    with pytest.raises(DataError, match="do not add up to the 2014 pixels"):
        decode_crop(counts_of(MASKS[3]), 38, 53)


def read_back(data: bytes) -> FrameInstances:
    return read_instances(RawMessage(BagTopic("/t", INSTANCE_ARRAY), 0, data))


def test_instances_survive_their_message() -> None:
    found = tuple(
        FoundInstance(number, f"class {number}", 0.25 * number, (1.25, 2.5, 30.0, 20.75), counts)
        for number, counts in enumerate(
            ["", counts_of(MASKS[4]), counts_of(MASKS[1]), counts_of(MASKS[0])]
        )
    )
    report = {"total_ms": 12.5, "deadline_met": False, "input_size": 320, "degradation": 3}
    message = FrameInstances(*SHAPE, found, 1_700_000_000_123_456_789, "camera", report)
    back = read_back(bytes(serialize_instances(message)))
    assert back.stamp_ns == message.stamp_ns
    assert back.instances == message.instances
    assert {key: back.report[key] for key in report} == report


def test_run_lengths_of_a_message_are_read_like_bits() -> None:
    mask = MASKS[5][3:30, 10:50]
    whole = np.zeros(SHAPE, bool)
    whole[3:30, 10:50] = mask
    store = default_typestore()
    types = store.types
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0, append=2))
    runs = np.diff(changes, prepend=0)
    plain = FrameInstances(*SHAPE, (FoundInstance(0, "a", 1.0, (0, 0, 1, 1)),), 5)
    message = store.deserialize_cdr(serialize_instances(plain), INSTANCE_ARRAY)
    message.instances[0].mask = types["yolact_ros/msg/InstanceMask"](
        encoding=2,
        x_offset=10,
        y_offset=3,
        width=40,
        height=27,
        counts=runs.astype(np.uint32),
        data=np.zeros(0, np.uint8),
    )
    back = read_back(bytes(store.serialize_cdr(message, INSTANCE_ARRAY)))
    assert back.instances[0].counts == counts_of(whole)


@pytest.mark.parametrize(
    "changes",
    [{"width": 60}, {"data": np.zeros(3, np.uint8)}, {"encoding": 9}],
)
def test_impossible_masks_are_refused(changes: dict[str, Any]) -> None:
    store = default_typestore()
    found = FoundInstance(0, "a", 1.0, (0, 0, 1, 1), counts_of(MASKS[1]))
    data = serialize_instances(FrameInstances(*SHAPE, (found,), 5))
    message = store.deserialize_cdr(data, INSTANCE_ARRAY)
    for name, value in changes.items():
        object.__setattr__(message.instances[0].mask, name, value)
    with pytest.raises(DataError, match="InstanceMask"):
        read_back(bytes(store.serialize_cdr(message, INSTANCE_ARRAY)))
