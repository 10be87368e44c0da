"""Runs a network over every frame of a work unit; drops none."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError, FrameFault, YolactError
from yolact_ros.evaluation.bag.frame import FAILED, UNREADABLE, FrameRecord, found_instances
from yolact_ros.evaluation.bag.reading.image_topic import BagFrame, decode_image, image_frames
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.units.model_source import ModelSource
from yolact_ros.evaluation.bag.units.records import PackedRecords, pack_records
from yolact_ros.evaluation.bag.units.task import Unit
from yolact_ros.inference.predictor import Predictor

__all__ = ["close_network", "process_unit"]

# One bad frame is the frame's fault, this many in a row are the model's.
MAX_FAILURES_IN_A_ROW = 10


def process_unit(unit: Unit, source: ModelSource, device: str = "") -> PackedRecords | None:
    """A record of every frame of the unit; None for a part of a bag that turns out damaged.

    What is left of a damaged bag depends on where one begins to read: such a bag is one unit. The
    network runs on the source's device where none is named.

    Raises:
        DataError: the network fails on frame after frame, or is another one on this machine.
        YolactError: the network or the bag cannot be opened.
    """
    if _description(source) != unit.task.header["source"]:
        raise DataError(
            f"the model {source.model} on {socket.gethostname()} is not the one that the "
            "evaluation began with: copy the same file to all machines"
        )
    if device:
        source = replace(source, device=device)
    bag = _bag(unit.task.source.path)
    stays_open = False
    try:
        records = _process(unit, bag, source)
        packed = pack_records(records, unit.task.header, unit.segment, bag.problems)
        stays_open = unit.segment.is_part and not bag.problems
        return packed if stays_open or not unit.segment.is_part else None
    finally:
        if not stays_open:
            _bag.cache_clear()
            bag.close()


# A process works on many units of one bag: it opens the network once, and each bag.
@lru_cache(maxsize=1)
def _network(source: ModelSource) -> Predictor:
    return source.open()


@lru_cache(maxsize=1)
def _description(source: ModelSource) -> Mapping[str, Any]:
    return dict(source.describe())


@lru_cache(maxsize=1)
def _bag(path: Path) -> Bag:
    return Bag(path)


def close_network(source: ModelSource) -> None:
    """Free what this process had opened."""
    _bag.cache_clear()
    _description.cache_clear()
    if _network.cache_info().currsize:
        _network(source).close()
        _network.cache_clear()


def _process(unit: Unit, bag: Bag, source: ModelSource) -> Iterator[FrameRecord]:
    failures = 0
    for frame in image_frames(bag, unit.task.topic, unit.segment):
        record = _process_frame(frame, _network(source))
        failures = failures + 1 if record.status == FAILED else 0
        if failures >= MAX_FAILURES_IN_A_ROW:
            raise DataError(
                f"the network failed on {failures} frames in a row, the last has the stamp "
                f"{record.stamp_ns} ns: {record.reason}"
            )
        yield record


def _process_frame(frame: BagFrame, predictor: Predictor) -> FrameRecord:
    """Decode one frame and find its instances; what goes wrong is in the record."""
    record = FrameRecord(frame.index, frame.stamp_ns, frame.message.log_time_ns)
    begun_s = time.perf_counter()
    try:
        _, image_bgr = decode_image(frame)
    except FrameFault as fault:
        return replace(record, status=UNREADABLE, reason=str(fault))
    decode_ms = (time.perf_counter() - begun_s) * 1e3
    try:
        prediction, times = predictor.predict_timed(image_bgr)
    except YolactError as error:
        return replace(record, status=FAILED, reason=str(error))
    except Exception as error:
        return replace(record, status=FAILED, reason=f"{type(error).__name__}: {error}")
    return replace(
        record,
        height_px=image_bgr.shape[0],
        width_px=image_bgr.shape[1],
        bits=frame.bits,
        instances=found_instances(prediction, predictor.class_names),
        times_ms={
            "decode": decode_ms,
            "preprocess": times.preprocess_ms,
            "inference": times.inference_ms,
            "postprocess": times.postprocess_ms,
        },
    )
