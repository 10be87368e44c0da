"""Image messages of a bag as pixels: as the node sees them, whichever process decodes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_samples import (
    IMAGE_TOPIC,
    Message,
    compressed_message,
    mono16_message,
    stamp_ns,
    write_bag,
)

from yolact_ros.evaluation.bag.reading.image_topic import decode_image, image_frames
from yolact_ros.evaluation.bag.reading.messages import COMPRESSED_IMAGE, IMAGE
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.inference.bit_depth import BitDepth
from yolact_ros.inference.cdr import read_compressed_image, read_image
from yolact_ros.inference.encodings import compressed_to_bgr, image_to_bgr

LARGEST = (200, 150, 900, 700, 200, 3000, 100)


def messages(kind: str) -> list[Message]:
    random = np.random.default_rng(5)
    found: list[Message] = []
    for index, largest in enumerate(LARGEST):
        image = random.integers(0, largest, (6, 8)).astype(np.uint16)
        image[0, 0] = largest
        time_ns = stamp_ns(index)
        if kind == "mono16":
            found.append((IMAGE_TOPIC, IMAGE, time_ns, mono16_message(image, time_ns)))
        else:
            png = compressed_message(cv2.imencode(".png", image)[1], time_ns, "16UC1; png")
            found.append((IMAGE_TOPIC, COMPRESSED_IMAGE, time_ns, png))
    return found


def as_the_node_sees_them(kind: str) -> list[np.ndarray]:
    depth = BitDepth()  # the camera's
    if kind == "mono16":
        return [image_to_bgr(read_image(data), depth) for *_, data in messages(kind)]
    return [compressed_to_bgr(read_compressed_image(data), depth) for *_, data in messages(kind)]


@pytest.mark.parametrize("kind", ["mono16", "png"])
@pytest.mark.parametrize("taken", [slice(0, None, 1), slice(0, None, 2), slice(3, None, 1)])
def test_16_bit_frames_look_as_on_the_robot_whichever_of_them_are_decoded(
    tmp_path: Path, kind: str, taken: slice
) -> None:
    expected = as_the_node_sees_them(kind)
    assert [int(image[0, 0, 0]) for image in expected] == [200, 150, 225, 175, 50, 187, 6]
    with Bag(write_bag(tmp_path / "b", messages(kind))) as bag:
        frames = list(image_frames(bag, IMAGE_TOPIC))
    assert [frame.bits for frame in frames] == [8, 8, 10, 10, 10, 12, 12]
    for frame in frames[taken]:
        assert np.array_equal(decode_image(frame)[1], expected[frame.index])
