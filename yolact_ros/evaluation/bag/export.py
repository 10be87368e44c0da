"""A new bag with the results of an evaluation, to be played beside the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolact_ros.errors import FrameFault
from yolact_ros.evaluation.bag.frame import PROCESSED, FoundInstance, FrameRecord
from yolact_ros.evaluation.bag.images import decode_image, image_frames
from yolact_ros.evaluation.bag.instances import InstanceMessage
from yolact_ros.evaluation.bag.journal import Journal
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.truth import Truth
from yolact_ros.evaluation.bag.worst_frames import to_prediction
from yolact_ros.evaluation.bag.writer import BagWriter
from yolact_ros.visualization import draw_overlay

__all__ = ["ExportOptions", "export_results", "truth_instances"]


@dataclass(frozen=True)
class ExportOptions:
    """What the new bag holds.

    Attributes:
        path: of the new bag.
        overlay: ``jpeg``, ``raw`` or ``none``.
        threshold: least score of what is written and drawn.
        namespace: of the topics, as the node's name is.
        overwrite: replace a bag that is there.
    """

    path: Path
    overlay: str = "jpeg"
    threshold: float = 0.3
    namespace: str = "/yolact"
    overwrite: bool = False


def export_results(
    bag: Bag,
    topic: str,
    journal: Journal,
    truth: Truth | None,
    options: ExportOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write InstanceArray, overlay and truth with the stamps and log times of the images.

    Args:
        bag: the source.
        topic: of its images.
        journal: of the evaluation.
        truth: written as InstanceArray on ``<namespace>/truth`` where given.
        options: of the new bag.
        progress: told of frames done.

    Raises:
        DataError: the new bag exists, or cannot be written.
    """
    class_ids: dict[str, int] = {}
    indices = journal.indices
    with BagWriter(options.path, overwrite=options.overwrite) as writer:
        for frame in image_frames(bag, topic):
            progress(1)
            if frame.index not in indices:
                continue
            record = journal.read(frame.index)
            known = truth.of_frame(frame.index, frame.stamp_ns) if truth is not None else None
            if record.status != PROCESSED and known is None:
                continue
            try:
                image = decode_image(frame)
            except FrameFault:
                continue
            frame_id = image.header.frame_id
            log_time_ns = frame.message.log_time_ns
            shape = (image.image_bgr.shape[0], image.image_bgr.shape[1])
            if known is not None:
                message = InstanceMessage(
                    frame.stamp_ns,
                    frame_id,
                    *shape,
                    truth_instances(known["annotations"], truth),
                    {},
                )
                writer.write_instances(f"{options.namespace}/truth", message, log_time_ns)
            if record.status != PROCESSED:
                continue
            shown = tuple(f for f in record.instances if f.score >= options.threshold)
            writer.write_instances(
                f"{options.namespace}/instances",
                InstanceMessage(frame.stamp_ns, frame_id, *shape, shown, _report(record)),
                log_time_ns,
            )
            if options.overlay == "none":
                continue
            for found in shown:
                class_ids.setdefault(found.class_name, found.class_id)
            drawn = draw_overlay(
                np.ascontiguousarray(image.image_bgr),
                to_prediction(shown, shape, class_ids),
                _names(class_ids),
            )
            if options.overlay == "raw":
                writer.write_image(
                    f"{options.namespace}/overlay", drawn, frame.stamp_ns, log_time_ns, frame_id
                )
            else:
                writer.write_jpeg(
                    f"{options.namespace}/overlay/compressed",
                    drawn,
                    frame.stamp_ns,
                    log_time_ns,
                    frame_id,
                )


def truth_instances(annotations: object, truth: Truth | None) -> tuple[FoundInstance, ...]:
    """Annotations as instances: objects of score 1, crowds of score 0."""
    names = {row.id: row.name for row in truth.categories} if truth else {}
    order = {category_id: index for index, category_id in enumerate(names)}
    return tuple(
        FoundInstance(
            class_id=order[int(row["category_id"])],
            class_name=names[int(row["category_id"])],
            score=0.0 if row["iscrowd"] else 1.0,
            bbox_xywh=tuple(row["bbox"]),
            counts=row["segmentation"]["counts"] if "segmentation" in row else "",
        )
        for row in annotations  # type: ignore[attr-defined]
    )


def _names(class_ids: dict[str, int]) -> list[str]:
    names = [""] * (max(class_ids.values(), default=-1) + 1)
    for name, class_id in class_ids.items():
        names[class_id] = name
    return names


def _report(record: FrameRecord) -> dict[str, float | int | bool]:
    times = {
        "preprocess_ms": record.times_ms.get("decode", 0.0)
        + record.times_ms.get("preprocess", 0.0),
        "inference_ms": record.times_ms.get("inference", 0.0),
        "postprocess_ms": record.times_ms.get("postprocess", 0.0),
    }
    timing = record.timing
    if timing is None:
        return {**times, "total_ms": sum(record.times_ms.values()), "deadline_met": True}
    return {
        **times,
        "budget_ms": timing.budget_ms,
        "wait_ms": timing.wait_ms,
        "total_ms": timing.total_ms,
        "image_age_ms": max(timing.image_age_ms - timing.total_ms, 0.0),
        "deadline_met": timing.deadline_met,
        "degradation": timing.degradation,
        "input_size": timing.input_size_px,
    }
