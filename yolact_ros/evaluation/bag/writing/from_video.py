"""Makes a bag of a video, of a folder of images, or of annotated photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import ConfigError, DataError, ImageError
from yolact_ros.evaluation.bag.reading.sources import check_topic_name
from yolact_ros.evaluation.bag.truth.truth import Truth
from yolact_ros.evaluation.bag.truth.truth_file import truth_from_data
from yolact_ros.evaluation.bag.writing.writer import BagWriter
from yolact_ros.evaluation.dataset_images import DatasetImages
from yolact_ros.inference.sources import open_source

__all__ = ["VideoBagOptions", "write_photo_bag", "write_video_bag"]

# 2025-01-01 00:00:00 UTC: bags made twice of one clip are equal, and no stamp is zero.
START_NS = 1_735_689_600_000_000_000


@dataclass(frozen=True)
class VideoBagOptions:
    """The new bag.

    Attributes:
        encoding: ``raw`` (bgr8 Image) or ``jpeg`` (CompressedImage).
        rate_hz: frames a second; 0 takes the times of the source.
        limit: most frames; 0 takes all.
        truth_topic: of the annotations of photographs.
        overwrite: replace a bag that is there.
    """

    path: Path
    topic: str = "/camera/image_raw"
    encoding: str = "raw"
    rate_hz: float = 0.0
    limit: int = 0
    frame_id: str = "camera"
    truth_topic: str = "/truth"
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_topic_name(self.topic)
        check_topic_name(self.truth_topic)
        if not 0.0 <= self.rate_hz <= 1000.0 or self.limit < 0:
            raise ConfigError("rate must be 0 to 1000 Hz and the limit at least 0")


def write_video_bag(
    source: str,
    options: VideoBagOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, list[ImageError]]:
    """Write the frames of a video, camera or folder of images at their own times.

    Returns:
        how many, and why images of the folder were passed over.

    Raises:
        ImageError: the source cannot be opened.
        DataError: the new bag exists or cannot be written.
    """
    with open_source(source) as frames:
        images = (
            (frame.image_bgr, count / options.rate_hz if options.rate_hz else frame.time_s)
            for count, frame in enumerate(islice(frames, options.limit or None))
        )
        return _write(images, options, None, progress), frames.unreadable


def write_photo_bag(
    annotations: Path,
    folder: Path,
    options: VideoBagOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, Defects]:
    """Write annotated photographs as a slide show with a truth topic.

    The frames come in the file's order, at 1 Hz unless a rate is given, and their pixels are those
    that ``yolact evaluate`` sees, so that both give the same AP.

    Returns:
        how many there are, and what was left out or mended of their annotations.

    Raises:
        DataError: annotations or images cannot be read, or the bag cannot be written.
    """
    data = read_coco_file(annotations, folder)
    images = DatasetImages(data, folder, options.limit or None)
    # The frames are the images that can be used: those that were left out have none.
    frames = tuple(replace(image, position=index) for index, image in enumerate(data.images))
    truth = truth_from_data(replace(data, images=frames), "order")
    rate_hz = options.rate_hz or 1.0
    timed = ((image_bgr, index / rate_hz) for index, (_, image_bgr) in enumerate(images))
    return _write(timed, options, truth, progress), data.defects


def _write(
    images: Iterator[tuple[NDArray[np.uint8], float]],
    options: VideoBagOptions,
    truth: Truth | None,
    progress: Callable[[int], None],
) -> int:
    """Write images with their times in seconds; returns how many."""
    count = 0
    with BagWriter(options.path, overwrite=options.overwrite) as writer:
        for image_bgr, time_s in images:
            stamp_ns = START_NS + round(time_s * 1e9)
            as_jpeg = options.encoding == "jpeg"
            writer.write_image(
                options.topic, image_bgr, stamp_ns, stamp_ns, options.frame_id, as_jpeg=as_jpeg
            )
            known = truth.of_frame(count, stamp_ns) if truth is not None else None
            if known is not None:
                message = replace(known, stamp_ns=stamp_ns, frame_id=options.frame_id)
                writer.write_instances(options.truth_topic, message, stamp_ns)
            count += 1
            progress(1)
        if not count:
            raise DataError("the source has no frame")
    return count
