"""Image topics of a bag: which one, and its messages as BGR pixels, decoded as the node does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError, FrameFault
from yolact_ros.evaluation.bag.reading.location import BagPath
from yolact_ros.evaluation.bag.reading.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    WHOLE,
    BagTopic,
    RawMessage,
    Segment,
)
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.inference.bit_depth import FULL_BITS, BitDepth
from yolact_ros.inference.cdr import (
    CompressedImageMessage,
    ImageMessage,
    MessageHeader,
    read_compressed_image,
    read_image,
)
from yolact_ros.inference.encodings import compressed_to_bgr, image_to_bgr, observe_depth

__all__ = ["BagFrame", "choose_image_topic", "decode_image", "image_frames"]

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
STAMP_BYTES = 12


@dataclass(frozen=True)
class BagFrame:
    """One message of an image topic, not decoded yet.

    Attributes:
        index: position on the topic, from 0.
        stamp_ns: header.stamp; 0 where the message is too short to have one.
        message: as stored.
        bits: in use by 16-bit pixels of the topic up to this frame, :class:`BitDepth`; 0 where
            all have 8 bits.
    """

    index: int
    stamp_ns: int
    message: RawMessage
    bits: int = 0


def choose_image_topic(bag: Bag, name: str = "") -> BagTopic:
    """The image topic to evaluate: the named one, or the only one.

    Raises:
        DataError: no image topic, several and none named, or the named one is something else.
    """
    images = {
        topic.name: topic for topic in bag.topics.values() if topic.message_type in IMAGE_TYPES
    }
    listing = ", ".join(
        f"{topic.name} ({_count(topic)})"
        for topic in sorted(images.values(), key=lambda t: t.name)
    )
    if name:
        if name in images:
            return images[name]
        other = bag.topics.get(name)
        found = f"is of {other.message_type}" if other else "is not in the bag"
        raise DataError(f"{bag.path}: {name} {found}; image topics here: {listing or 'none'}")
    if not images:
        types = sorted({topic.message_type for topic in bag.topics.values()})
        raise DataError(
            f"{bag.path}: no topic of {IMAGE} or {COMPRESSED_IMAGE}; it has "
            f"{', '.join(types) or 'no topic at all'}"
        )
    if len(images) > 1:
        raise DataError(f"{bag.path}: several image topics, choose one with --topic: {listing}")
    return next(iter(images.values()))


def image_frames(bag: Bag, topic: str, segment: Segment = WHOLE) -> Iterator[BagFrame]:
    """Messages of an image topic as recorded, numbered from 0 in the segment."""
    depth = BitDepth()
    messages = bag.messages({topic}, segment.start_ns, segment.stop_ns)
    for index, message in enumerate(islice(messages, segment.limit or None)):
        # Here, where every frame passes, so that frames look alike in whatever process decodes
        # them, and as on the robot, which saw those before.
        if depth.bits != FULL_BITS:
            before = depth.bits
            with suppress(FrameFault):
                observe_depth(_read(message), depth)
            if depth.bits and not before and segment.start_ns is not None:
                depth.bits = max(depth.bits, _bits_before(bag.path, topic, segment.start_ns))
        yield BagFrame(index, _stamp_ns(message.data), message, depth.bits)


def _bits_before(path: BagPath, topic: str, stop_ns: int) -> int:
    """What 16-bit pixels used before a segment that has some."""
    with Bag(path) as bag:
        frames = image_frames(bag, topic, Segment(stop_ns=stop_ns))
        return max((frame.bits for frame in frames), default=0)


def decode_image(frame: BagFrame) -> tuple[MessageHeader, NDArray[np.uint8]]:
    """Header and pixels (uint8[H, W, 3] BGR, maybe a read-only view) of an image message.

    Raises:
        FrameFault: as the node finds it: unknown encoding, wrong size or step, cut off.
    """
    image = _read(frame.message)
    to_bgr: Any = image_to_bgr if isinstance(image, ImageMessage) else compressed_to_bgr
    return image.header, to_bgr(image, BitDepth(frame.bits))


def _read(message: RawMessage) -> ImageMessage | CompressedImageMessage:
    if message.topic.message_type == COMPRESSED_IMAGE:
        return read_compressed_image(message.data)
    if message.topic.message_type != IMAGE:
        raise FrameFault("malformed", f"a message of {message.topic.message_type}, not an image")
    return read_image(message.data)


def _stamp_ns(data: bytes) -> int:
    if len(data) < STAMP_BYTES:
        return 0
    order = "little" if data[1] else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)  # type: ignore[arg-type]
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)  # type: ignore[arg-type]


def _count(topic: BagTopic) -> str:
    return "? messages" if topic.message_count is None else f"{topic.message_count} messages"
