"""Follows the objects of one camera: ByteTrack, OC-SORT and BoT-SORT in the time of the stamps.

ByteTrack (Zhang et al. 2022) lets detections below the score threshold keep known objects.
BoT-SORT (Aharon et al. 2022) adds the motion of the camera. OC-SORT (Cao et al. 2023) believes
what was seen more than what was predicted: it prefers the direction of the motion so far, looks
for an object where it was seen last, and corrects the filter for the time that it was not seen.
Their thresholds of overlap are the papers'; times are seconds, where the papers count frames. Of
ours are the last round, which looks for lost objects as far as they may have come, and what
overlap with another class counts for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from yolact_ros.tracking.association import (
    Assigner,
    Assignment,
    pairwise_box_iou,
    shares_inside,
)
from yolact_ros.tracking.camera_motion import CameraMotion
from yolact_ros.tracking.motion import MotionState, Table, correct, initial_state, predict, warp
from yolact_ros.tracking.settings import TrackerSettings

__all__ = ["Tracker", "Tracks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MS_PER_S = 1e3
# Least overlap (IoU) of a detection with where the object was expected.
FIRST_IOU = 0.2
OCSORT_IOU = 0.3
LOW_SCORE_IOU = 0.5
TENTATIVE_IOU = 0.3
# Overlap counts for less with another class, and with an object that was not found last time.
OTHER_CLASS = 0.7
LOST = 0.8
# A lost object is looked for as far as so many standard deviations around where it is expected; so
# much of a detection must lie inside.
REACH_SIGMAS = 2.0
LEAST_INSIDE = 0.5
# OC-SORT: weight of the direction, and over which time it is taken.
DIRECTION_WEIGHT = 0.2
DIRECTION_S = 0.1


@dataclass(frozen=True)
class Tracks:
    """Which objects the n detections of an image are.

    Attributes:
        ids (int64[n]): 0 where an object is not followed (yet).
        ages (int64[n]): images in which the object was found, this one included; 0 with id 0.
    """

    ids: Ints
    ages: Ints


@dataclass(frozen=True, eq=False)
class _Objects(Table):
    """The m objects that are known.

    Attributes:
        ids (int64[m]): 0 while the object was found only once.
        ages (int64[m]): images in which it was found.
        misses (int64[m]): images since it was found.
        class_ids (int64[m]): of the last detection.
        seen_s (float64[m]): when it was found last.
        seen_xyxy (float64[m, 4]): its box then.
        origins (float64[m, 2]): where it came from, at least DIRECTION_S ago where known so long.
        turn_s, turn_centers (float64[m], [m, 2]): when and where the origin will be next.
        motion: where it is expected.
        seen_motion: what was known when it was found last.
    """

    ids: Ints
    ages: Ints
    misses: Ints
    class_ids: Ints
    seen_s: Floats
    seen_xyxy: Floats
    origins: Floats
    turn_s: Floats
    turn_centers: Floats
    motion: MotionState
    seen_motion: MotionState

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def new(cls, boxes_xyxy: Floats, class_ids: Ints, time_s: float) -> _Objects:
        """Objects that are found for the first time."""
        count = len(boxes_xyxy)
        motion = initial_state(boxes_xyxy)
        times = np.full(count, time_s)
        return cls(
            ids=np.zeros(count, np.int64),
            ages=np.ones(count, np.int64),
            misses=np.zeros(count, np.int64),
            class_ids=class_ids,
            seen_s=times,
            seen_xyxy=boxes_xyxy,
            origins=motion.centers,
            turn_s=times,
            turn_centers=motion.centers,
            motion=motion,
            seen_motion=motion,
        )


class Tracker:
    """Follows the objects of one camera from image to image; not thread-safe.

    An object gets its id when it is found in a second image, so that one false detection is no
    object; those of the first image get theirs at once. It keeps it until it was not found for
    ``buffer_ms``. All is forgotten, and ids go on, where a stamp is earlier than the last one (a
    bag that starts again) or later by more than the buffer, and where the image's size changes.

    Args:
        ids: new ids come from it; shared by the trackers of a run, no id is used twice.

    Attributes:
        pauses: so many images in a row, up to the last one, came later than the buffer: where they
            always do, no object is ever the same.

    Raises:
        DependencyError: scipy is not installed.
    """

    def __init__(self, settings: TrackerSettings, ids: Iterator[int] | None = None) -> None:
        self.settings = settings
        self.pauses = 0
        self._ids = itertools.count(1) if ids is None else ids
        self._assign = Assigner()
        self.reset()

    def reset(self) -> None:
        """Forget all objects; their ids do not come back."""
        self._objects = _Objects.new(np.zeros((0, 4)), np.zeros(0, np.int64), 0.0)
        self._last_s: float | None = None
        self._size_px = (0, 0)
        self._camera = CameraMotion() if self.settings.uses_camera_motion else None

    def update(
        self,
        boxes_xyxy: NDArray[np.floating],
        class_ids: NDArray[np.int64],
        time_s: float,
        *,
        image_size_px: tuple[int, int],
        num_reported: int | None = None,
        image_bgr: NDArray[np.uint8] | None = None,
    ) -> Tracks:
        """The ids of the detections of the next image.

        Args:
            boxes_xyxy (float[n, 4]): pixels; the best score first.
            class_ids (int64[n]): 0-based.
            time_s: when the image was taken, by its stamp.
            image_size_px: height and width of the image.
            num_reported: so many of the detections, the first ones, are above the score
                threshold; the others may keep known objects and begin none. None: all are.
            image_bgr (uint8[H, W, 3]): for BoT-SORT, which without it does as ByteTrack.
        """
        gap_s = 0.0 if self._last_s is None else time_s - self._last_s
        # Seconds since 1970 are exact to a quarter of a microsecond.
        longest_s = self.settings.buffer_ms / MS_PER_S + 1e-6
        self.pauses = self.pauses + 1 if gap_s > longest_s else 0
        if not 0 <= gap_s <= longest_s or self._size_px != image_size_px:
            self.reset()
        is_first = self._last_s is None
        self._last_s, self._size_px = time_s, image_size_px

        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        high = len(boxes) if num_reported is None else num_reported
        objects = self._objects
        kept = time_s - objects.seen_s <= longest_s
        objects = objects.take(kept) if not kept.all() else objects
        motion = predict(objects.motion, gap_s)
        if self._camera is not None and image_bgr is not None:
            motion = warp(motion, self._camera.update(image_bgr, boxes[:high]))
        objects = replace(objects, motion=motion)

        found = self._associate(objects, boxes, class_ids, high)
        objects = self._corrected(objects, found, boxes, class_ids, time_s)
        ids, ages = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.int64)
        ids[found.detections] = objects.ids[found.tracks]
        ages[found.detections] = objects.ages[found.tracks]

        is_new = np.ones(high, np.bool_)
        is_new[found.detections[found.detections < high]] = False
        new_rows = np.flatnonzero(is_new)
        new = _Objects.new(boxes[new_rows], class_ids[new_rows], time_s)
        if is_first:
            new = replace(new, ids=self._new_ids(len(new)))
            ids[new_rows], ages[new_rows] = new.ids, new.ages
        self._objects = objects.take(objects.ids > 0).join(new)
        return Tracks(ids, ages)

    def _associate(
        self, objects: _Objects, boxes_xyxy: Floats, class_ids: Ints, high: int
    ) -> Assignment:
        """Round after round, each with what the ones before left."""
        found = _Rounds(self._assign, objects, boxes_xyxy, class_ids, high)
        if len(objects) == 0 or len(boxes_xyxy) == 0:
            return found.assignment()
        confirmed = objects.ids > 0
        expected_xyxy = objects.motion.boxes_xyxy
        if self.settings.name == "ocsort":
            bonus = DIRECTION_WEIGHT * _direction_agreement(objects, boxes_xyxy)
            found.match(confirmed, expected_xyxy, OCSORT_IOU, bonus=bonus)
            found.match(confirmed, objects.seen_xyxy, OCSORT_IOU)
        else:
            found.match(confirmed, expected_xyxy, FIRST_IOU)
            if self.settings.uses_low_scores:
                found.match(confirmed, expected_xyxy, LOW_SCORE_IOU, low_scores=True)
        found.match(~confirmed, expected_xyxy, TENTATIVE_IOU)
        found.recall(confirmed & (objects.misses > 0))
        return found.assignment()

    def _corrected(
        self,
        objects: _Objects,
        found: Assignment,
        boxes_xyxy: Floats,
        class_ids: Ints,
        time_s: float,
    ) -> _Objects:
        """The objects after this image; those that were found twice have ids now."""
        objects = replace(objects, misses=objects.misses + 1)
        rows, boxes = found.tracks, boxes_xyxy[found.detections]
        if not len(rows):
            return objects
        before = objects.take(rows)
        expected = before.motion
        if self.settings.name == "ocsort":
            expected = _reconsidered(before, boxes, time_s)
        motion = correct(expected, boxes)
        ids = before.ids.copy()
        ids[ids == 0] = self._new_ids(int((ids == 0).sum()))
        turns = time_s - before.turn_s >= DIRECTION_S
        now = np.full(len(rows), time_s)
        after = replace(
            before,
            ids=ids,
            ages=before.ages + 1,
            misses=np.zeros_like(before.misses),
            class_ids=class_ids[found.detections],
            seen_s=now,
            seen_xyxy=boxes,
            origins=np.where(turns[:, None], before.turn_centers, before.origins),
            turn_s=np.where(turns, now, before.turn_s),
            turn_centers=np.where(turns[:, None], _centers(boxes), before.turn_centers),
            motion=motion,
            seen_motion=motion,
        )
        return objects.put(rows, after)

    def _new_ids(self, count: int) -> Ints:
        return np.fromiter(itertools.islice(self._ids, count), np.int64, count)


class _Rounds:
    """Matches what is left of the objects with what is left of the detections."""

    def __init__(
        self,
        assign: Assigner,
        objects: _Objects,
        boxes_xyxy: Floats,
        class_ids: Ints,
        high: int,
    ) -> None:
        self._assign = assign
        self._objects = objects
        self._boxes_xyxy = boxes_xyxy
        self._class_ids = class_ids
        self._is_high = np.arange(len(boxes_xyxy)) < high
        self._free_objects = np.ones(len(objects), np.bool_)
        self._free_boxes = np.ones(len(boxes_xyxy), np.bool_)
        self._found: list[Assignment] = []

    def match(
        self,
        who: NDArray[np.bool_],
        expected_xyxy: Floats,
        least_iou: float,
        *,
        bonus: Floats | None = None,
        low_scores: bool = False,
    ) -> None:
        """One round.

        Args:
            who (bool[m]): the objects that take part.
            expected_xyxy (float64[m, 4]): where they are looked for.
            least_iou: a pair needs this overlap.
            bonus (float64[m, n]): added to the overlap.
            low_scores: with the detections below the score threshold, which must have the
                object's class; otherwise with those above.
        """
        rows = np.flatnonzero(who & self._free_objects)
        columns = np.flatnonzero((self._is_high ^ low_scores) & self._free_boxes)
        if not len(rows) or not len(columns):
            return
        iou = pairwise_box_iou(expected_xyxy[rows], self._boxes_xyxy[columns])
        allowed = iou >= least_iou
        same = self._objects.class_ids[rows, None] == self._class_ids[columns]
        if low_scores:
            allowed &= same
        gain = iou * np.where(same, 1.0, OTHER_CLASS)
        gain *= np.where(self._objects.misses[rows] > 0, LOST, 1.0)[:, None]
        if bonus is not None:
            gain += bonus[np.ix_(rows, columns)]
        self._keep(rows, columns, self._assign(gain, allowed))

    def recall(self, lost: NDArray[np.bool_]) -> None:
        """Match what is left with lost objects of the same class that may have come there."""
        rows = np.flatnonzero(lost & self._free_objects)
        columns = np.flatnonzero(self._is_high & self._free_boxes)
        if not len(rows) or not len(columns):
            return
        motion = self._objects.motion.take(rows)
        reach = np.tile(REACH_SIGMAS * np.sqrt(motion.center_var), 2) * (-1, -1, 1, 1)
        inside = shares_inside(motion.boxes_xyxy + reach, self._boxes_xyxy[columns])
        same = self._objects.class_ids[rows, None] == self._class_ids[columns]
        pairs = self._assign(inside, same & (inside >= LEAST_INSIDE))
        self._keep(rows, columns, pairs)

    def _keep(self, rows: Ints, columns: Ints, pairs: Assignment) -> None:
        found = Assignment(rows[pairs.tracks], columns[pairs.detections])
        self._free_objects[found.tracks] = False
        self._free_boxes[found.detections] = False
        self._found.append(found)

    def assignment(self) -> Assignment:
        """All pairs so far."""
        if not self._found:
            return Assignment(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return Assignment(*(np.concatenate(rows) for rows in zip(*self._found, strict=True)))


def _direction_agreement(objects: _Objects, boxes_xyxy: Floats) -> Floats:
    """How well going to each detection agrees with the motion so far, float64[m, n] in 0..1.

    0.5 across and for objects that did not move; OC-SORT's momentum, shifted to be positive.
    """
    seen, centers = _centers(objects.seen_xyxy), _centers(boxes_xyxy)
    so_far = seen - objects.origins
    ahead = centers[None] - seen[:, None]
    lengths = np.linalg.norm(so_far, axis=1)[:, None] * np.linalg.norm(ahead, axis=2)
    cosine = np.divide(
        (so_far[:, None] * ahead).sum(axis=2),
        lengths,
        out=np.zeros_like(lengths),
        where=lengths > 0,
    )
    agreement: Floats = 1 - np.arccos(cosine.clip(-1, 1)) / np.pi
    return agreement


def _reconsidered(found: _Objects, boxes_xyxy: Floats, time_s: float) -> MotionState:
    """What is expected of objects found again, had they gone straight (OC-SORT's re-update).

    Their filters go back to when they were seen and get a box on the straight line to the new one
    for each image in between.
    """
    expected = found.motion
    # An object found in the last image has one step to this one, and so no image in between.
    for steps in np.unique(found.misses[found.misses > 1]).tolist():
        rows = np.flatnonzero(found.misses == steps)
        lost = found.take(rows)
        step_s = (time_s - lost.seen_s)[:, None] / steps
        state, old, way = lost.seen_motion, lost.seen_xyxy, boxes_xyxy[rows] - lost.seen_xyxy
        for step in range(1, steps):
            state = correct(predict(state, step_s), old + way * (step / steps))
        expected = expected.put(rows, predict(state, step_s))
    return expected


def _centers(boxes_xyxy: Floats) -> Floats:
    centers: Floats = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    return centers
