"""Tracks of a bag against the truth's, and detections of a bag followed afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.values import Id
from yolact_ros.dependencies import require
from yolact_ros.errors import DataError, FrameFault
from yolact_ros.evaluation.bag.frame import (
    PROCESSED,
    FoundInstance,
    FrameInstances,
    FrameRecord,
)
from yolact_ros.evaluation.bag.reading.image_topic import decode_image, image_frames
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.coco import IouType
from yolact_ros.evaluation.track_measures import TrackFrame, left_out_measures, track_measures
from yolact_ros.ops.coco_rle import encode_box
from yolact_ros.tracking import Tracker, TrackerSettings
from yolact_ros.tracking.association import pairwise_box_iou, shares_inside
from yolact_ros.tracking.settings import LOW_SCORE

__all__ = ["BLOCK_S", "TrackCollector", "follow_records", "measured_tracks"]

BLOCK_S = 1.0
NS_PER_S = 1e9
# What lies in a crowd region by so much is neither right nor wrong.
CROWD_SHARE = 0.5


class TrackCollector:
    """Gathers, frame by frame, which tracks there are and which were found.

    Attributes:
        frames: tracks of each frame, by kind of overlap and class.
        has_ids: an object of the truth has a track id.
    """

    def __init__(
        self,
        categories: Iterable[CocoCategory],
        iou_types: Sequence[IouType],
        operating_threshold: float,
    ) -> None:
        self._names: dict[Id, str] = {row.id: row.name for row in categories}
        self._iou_types = iou_types
        self._threshold = operating_threshold
        self.frames: dict[tuple[IouType, str], list[TrackFrame]] = defaultdict(list)
        self._times_s: list[float] = []
        self.has_ids = False

    def add(self, time_s: float, truth: FrameInstances, found: Iterable[FoundInstance]) -> None:
        """Add a frame, in order.

        Objects without a track id are neither right nor wrong to find; what was found without one
        counts as not found.
        """
        self._times_s.append(time_s)
        shown = [one for one in found if one.track_id and one.score >= self._threshold]
        for category_id, name in self._names.items():
            rows = [row for row in truth.instances if row.class_id + 1 == category_id]
            objects = [row for row in rows if row.track_id and not row.is_crowd]
            regions = [row for row in rows if not row.track_id or row.is_crowd]
            self.has_ids |= bool(objects)
            mine = [one for one in shown if one.class_name == name]
            for iou_type in self._iou_types:
                frame = _track_frame(objects, regions, mine, iou_type, truth.shape)
                self.frames[iou_type, name].append(frame)

    def block_numbers(self) -> NDArray[np.int64]:
        """Which block of time each frame is in, from 0 without gaps."""
        seconds = np.array(self._times_s) // BLOCK_S
        return np.unique(seconds, return_inverse=True)[1].astype(np.int64)


def measured_tracks(collectors: Sequence[TrackCollector]) -> dict[str, Any]:
    """The numbers for boxes and masks of one or several bags, and without each second in turn.

    Raises:
        DataError: the truth has no track ids.
    """
    if not any(collector.has_ids for collector in collectors):
        raise DataError(
            "the truth has no track ids, so tracks cannot be measured: it needs track_id in "
            "every annotation of a JSON or instance of a topic, or MOT or MOTS text files"
        )
    sequences: dict[IouType, list[list[TrackFrame]]] = defaultdict(list)
    blocks: dict[IouType, list[NDArray[np.int64]]] = defaultdict(list)
    before = 0
    for collector in collectors:
        numbers = collector.block_numbers() + before
        before = int(numbers.max(initial=before - 1)) + 1
        for (iou_type, _), frames in collector.frames.items():
            sequences[iou_type].append(frames)
            blocks[iou_type].append(numbers)
    left_out: dict[str, Any] = {
        iou_type: left_out_measures(rows, blocks[iou_type]) for iou_type, rows in sequences.items()
    }
    values: dict[str, Any] = {
        iou_type: track_measures(rows) for iou_type, rows in sequences.items()
    }
    return {**values, "block_s": BLOCK_S, "without_block": left_out}


def follow_records(
    records: Iterable[FrameRecord],
    settings: TrackerSettings,
    operating_threshold: float,
    images: tuple[Bag, str] | None = None,
) -> Iterator[FrameRecord]:
    """Frames with the ids that a tracker gives their instances afterwards.

    Args:
        records: in order, their instances by falling score.
        settings: of the tracker.
        operating_threshold: detections from this score on are objects; those below may keep them.
        images: bag and topic, for a tracker that looks at them.
    """
    tracker = Tracker(settings)
    frames = image_frames(*images) if images and settings.uses_camera_motion else iter(())
    for record in records:
        image_bgr: NDArray[np.uint8] | None = None
        for frame in frames:
            if frame.index == record.index:
                try:
                    _, image_bgr = decode_image(frame)
                except FrameFault:
                    image_bgr = None  # the record says so
                break
        yield _followed(record, tracker, operating_threshold, image_bgr)


def _followed(
    record: FrameRecord,
    tracker: Tracker,
    operating_threshold: float,
    image_bgr: NDArray[np.uint8] | None,
) -> FrameRecord:
    if record.status != PROCESSED:
        return record
    used = [one for one in record.instances if one.score >= min(operating_threshold, LOW_SCORE)]
    names = sorted({one.class_name for one in used})
    tracks = tracker.update(
        _boxes_xyxy(one.bbox_xywh for one in used),
        np.array([names.index(one.class_name) for one in used], np.int64),
        (record.stamp_ns or record.log_time_ns) / NS_PER_S,
        image_size_px=record.shape,
        num_reported=sum(one.score >= operating_threshold for one in used),
        image_bgr=image_bgr,
    )
    followed = [
        replace(one, track_id=track_id, track_age=age)
        for one, track_id, age in zip(used, tracks.ids.tolist(), tracks.ages.tolist(), strict=True)
    ]
    return replace(record, instances=(*followed, *record.instances[len(used) :]))


def _track_frame(
    objects: Sequence[FoundInstance],
    regions: Sequence[FoundInstance],
    found: Sequence[FoundInstance],
    iou_type: IouType,
    shape: tuple[int, int],
) -> TrackFrame:
    boxes = _boxes_xyxy(one.bbox_xywh for one in found)
    if iou_type == "segm":
        overlaps = _mask_iou(objects, found, shape)
    else:
        overlaps = pairwise_box_iou(_boxes_xyxy(row.bbox_xywh for row in objects), boxes)
    in_region = shares_inside(_boxes_xyxy(row.bbox_xywh for row in regions), boxes)
    free = ~(in_region >= CROWD_SHARE).any(axis=0) | (overlaps >= CROWD_SHARE).any(axis=0)
    ids = np.array([one.track_id for one in found], np.int64)
    truth_ids = np.array([row.track_id for row in objects], np.int64)
    return TrackFrame(truth_ids, ids[free], overlaps[:, free])


def _mask_iou(
    truth: Sequence[FoundInstance], found: Sequence[FoundInstance], shape: tuple[int, int]
) -> NDArray[np.float64]:
    if not truth or not found:
        return np.zeros((len(truth), len(found)))
    # An instance without a mask overlaps nothing.
    empty = encode_box((0.0, 0.0, 0.0, 0.0), *shape)["counts"]
    masks, others = (
        [{"size": shape, "counts": one.counts or empty} for one in side] for side in (found, truth)
    )
    coco = require("pycocotools.mask", extra="bag")
    return np.asarray(coco.iou(masks, others, [0] * len(truth)), np.float64).T


def _boxes_xyxy(boxes_xywh: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    boxes = np.array([list(box) for box in boxes_xywh], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
