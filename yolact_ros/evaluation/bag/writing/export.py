"""A new bag with the results of an evaluation, to be played beside the source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from yolact_ros.errors import FrameFault
from yolact_ros.evaluation.bag.evaluate import Watcher
from yolact_ros.evaluation.bag.frame import PROCESSED, FrameInstances, FrameRecord
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.image_topic import (
    choose_image_topic,
    decode_image,
    image_frames,
)
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.report.worst_frames import draw_instances
from yolact_ros.evaluation.bag.truth.open_truth import open_truth
from yolact_ros.evaluation.bag.units.records import FrameRecords, unit_files
from yolact_ros.evaluation.bag.writing.writer import BagWriter

__all__ = ["export_evaluation"]

NAMESPACE = "/yolact"  # as the node's name is


def export_evaluation(
    options: EvaluationOptions, path: Path, overlay: str, watcher: Watcher
) -> None:
    """Write instances, overlay and truth of the one bag that ``options`` evaluated to ``path``.

    All have the stamps and log times of the images. What is written and drawn is of the operating
    threshold or more; the overlay is ``jpeg``, ``raw`` or ``none``.

    Raises:
        DataError: the bag has no images, or the new one exists or cannot be written.
    """
    (source,) = options.bags
    truth = open_truth(source, ProblemLog(), key=options.truth_key)
    records = FrameRecords(unit_files(options.output))
    with Bag(source.path) as bag, BagWriter(path, overwrite=options.overwrite) as writer:
        topic = choose_image_topic(bag, source.topic)
        told = watcher.start(f"writing {path.name}", topic.message_count)
        class_ids: dict[str, int] = {}
        for frame in image_frames(bag, topic.name):
            told(1)
            if frame.index >= len(records):
                break
            record = records.read(frame.index)
            try:
                header, image_bgr = decode_image(frame)
            except FrameFault:
                continue
            stamp_ns, log_time_ns = frame.stamp_ns, frame.message.log_time_ns
            found = FrameInstances(
                image_bgr.shape[0], image_bgr.shape[1], (), stamp_ns, header.frame_id
            )
            known = truth.of_frame(frame.index, stamp_ns) if truth is not None else None
            if known is not None:
                message = replace(found, instances=known.instances)
                writer.write_instances(f"{NAMESPACE}/truth", message, log_time_ns)
            if record.status != PROCESSED:
                continue
            shown = tuple(f for f in record.instances if f.score >= options.operating_threshold)
            message = replace(found, instances=shown, report=_report(record))
            writer.write_instances(f"{NAMESPACE}/instances", message, log_time_ns)
            if overlay != "none":
                for instance in shown:
                    class_ids.setdefault(instance.class_name, instance.class_id)
                writer.write_image(
                    f"{NAMESPACE}/overlay" + ("/compressed" if overlay == "jpeg" else ""),
                    draw_instances(image_bgr, shown, class_ids),
                    stamp_ns,
                    log_time_ns,
                    header.frame_id,
                    as_jpeg=overlay == "jpeg",
                )


def _report(record: FrameRecord) -> dict[str, float]:
    times_ms, timing = record.times_ms, record.timing
    stages = {
        "preprocess_ms": times_ms.get("decode", 0.0) + times_ms.get("preprocess", 0.0),
        "inference_ms": times_ms.get("inference", 0.0),
        "postprocess_ms": times_ms.get("postprocess", 0.0),
    }
    if timing is None:
        return {**stages, "total_ms": sum(times_ms.values()), "deadline_met": True}
    return {
        **stages,
        "budget_ms": timing.budget_ms,
        "wait_ms": timing.wait_ms,
        "total_ms": timing.total_ms,
        "image_age_ms": max(timing.image_age_ms - timing.total_ms, 0.0),
        "deadline_met": timing.deadline_met,
        "degradation": timing.degradation,
        "input_size": timing.input_size_px,
    }
