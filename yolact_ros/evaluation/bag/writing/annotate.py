"""Turns annotations or results into a truth topic, in a new bag beside the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolact_ros.datasets.coco_data import CocoAnnotation, CocoData
from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.datasets.coco_results import parse_results
from yolact_ros.datasets.json_file import read_json
from yolact_ros.errors import DataError, FrameFault
from yolact_ros.evaluation.bag.frame import PROCESSED, FrameInstances
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.image_topic import decode_image, image_frames
from yolact_ros.evaluation.bag.reading.sources import check_topic_name
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.truth.truth import Truth, truth_from_instances
from yolact_ros.evaluation.bag.truth.truth_file import truth_from_data
from yolact_ros.evaluation.bag.units.records import FrameRecords, unit_files
from yolact_ros.evaluation.bag.writing.writer import BagWriter
from yolact_ros.ops.coco_rle import mask_box_xywh

__all__ = ["annotate_bag", "read_annotations"]


def read_annotations(
    path: Path, *, images: Path | None, key: str, score_threshold: float
) -> Truth:
    """What is to become the truth.

    Args:
        path: a COCO annotation file; a COCO results file; or the folder of an evaluation, whose
            detections are taken, for example those of a large model to judge a small one by.
        images: of a results file, the JSON with the ``images`` and ``categories`` that its ids
            stand for; None takes ``images.json`` beside it.
        key: what ties an image to a frame, see :func:`.read_truth_file`.
        score_threshold: results of a lower score are left out.

    Raises:
        DataError: the file or folder is none of these.
    """
    if path.is_dir():
        return _from_evaluation(path, score_threshold)
    found = read_json(path)
    described = images or path.with_name("images.json")
    if isinstance(found, list) and not described.is_file():
        raise DataError(
            f"{path}: a list of results alone does not say which image an id is; name the JSON "
            f"with images and categories by --images ({described} is not there)"
        )
    try:
        if not isinstance(found, list):
            return truth_from_data(parse_coco(found), key)
        listing = read_json(described)
        if isinstance(listing, dict):
            listing["annotations"] = []
        data = parse_coco(listing)
        return truth_from_data(_as_truth(data, found, score_threshold), key)
    except DataError as error:
        with_images = f" with {described}" if isinstance(found, list) else ""
        raise DataError(f"{path}{with_images}: {error}") from error


def _as_truth(data: CocoData, rows: list[Any], score_threshold: float) -> CocoData:
    """The results of at least ``score_threshold`` as annotations of the images."""
    results, defects = parse_results(rows, data)
    annotations: list[CocoAnnotation] = []
    for row in results:
        mask, box = row.get("segmentation"), row.get("bbox")
        box = box or (mask and mask_box_xywh(mask["counts"], *mask["size"]))
        if box is not None and row["score"] >= score_threshold:
            annotations.append(
                CocoAnnotation(
                    id=len(annotations) + 1,
                    own_id=None,
                    image_id=row["image_id"],
                    category_id=row["category_id"],
                    bbox_xywh=tuple(box),
                    counts=mask["counts"] if mask else None,
                )
            )
    data.defects.merge(defects)
    return replace(data, annotations=tuple(annotations))


def _from_evaluation(folder: Path, score_threshold: float) -> Truth:
    files = unit_files(folder)
    if not files:
        raise DataError(f"{folder}: not the folder of an evaluation of one bag")
    frames = (
        FrameInstances(
            *record.shape,
            instances=tuple(
                replace(found, score=1.0)
                for found in record.instances
                if found.score >= score_threshold
            ),
            stamp_ns=record.stamp_ns,
        )
        for record in FrameRecords(files)
        if record.status == PROCESSED
    )
    try:
        return truth_from_instances(frames)
    except DataError as error:
        raise DataError(f"{folder}: no detection of score {score_threshold:g} or more") from error


def annotate_bag(
    bag: Bag,
    topic: str,
    truth: Truth,
    path: Path,
    truth_topic: str,
    *,
    copy_images: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, ProblemLog]:
    """Write a new bag, ``path``, with the images of ``topic`` and a truth message for each known.

    Returns:
        how many frames were annotated, and what could not be used.

    Raises:
        ConfigError: ``truth_topic`` is no name of a topic.
        DataError: the new bag exists or cannot be written, or no frame was annotated.
    """
    check_topic_name(truth_topic)
    problems = ProblemLog()
    problems.add_defects(truth.defects, "the annotations")
    count = 0
    with BagWriter(path, overwrite=overwrite) as writer:
        for frame in image_frames(bag, topic):
            progress(1)
            if copy_images:
                writer.copy(frame.message)
            known = truth.of_frame(frame.index, frame.stamp_ns)
            if known is None:
                continue
            place = f"{topic} frame {frame.index}"
            try:
                header, image_bgr = decode_image(frame)
            except FrameFault as fault:
                problems.add("unreadable frame", place, str(fault))
                continue
            height_px, width_px = image_bgr.shape[:2]
            if (height_px, width_px) != known.shape:
                reason = f"annotated at {known.width_px}x{known.height_px}, the image is "
                problems.add("truth of another size", place, f"{reason}{width_px}x{height_px}")
                continue
            message = replace(known, stamp_ns=frame.stamp_ns, frame_id=header.frame_id)
            writer.write_instances(truth_topic, message, frame.message.log_time_ns)
            count += 1
        if not count:
            raise DataError(
                f"no annotation belongs to a frame of {topic}: {len(truth)} annotated frames are "
                f"tied by {truth.key}; see --truth-key"
            )
    problems.extend(bag.problems)
    for key in truth.unused:
        problems.add("truth without a frame", f"{truth.key} {key}", "not written")
    return count, problems
