"""Evaluations of bags whose frames are damaged, of other kinds or out of order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_evaluations import evaluate, options
from bag_samples import (
    IMAGE_TOPIC,
    compressed_message,
    frame_bgr,
    image_message,
    image_messages,
    mono16_message,
    stamp_ns,
    truth_messages,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.reading.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    default_typestore,
)
from yolact_ros.evaluation.bag.summary import summary_text


def test_frames_that_cannot_be_read_are_listed_and_the_rest_is_scored(tmp_path: Path) -> None:
    messages = image_messages(8) + truth_messages(8)
    images = [
        image_message(frame_bgr(0)[..., ::-1], stamp_ns(0), "rgb8"),
        image_message(frame_bgr(1), stamp_ns(1), "hsv8"),
        image_message(frame_bgr(2), stamp_ns(2), step=5),
        image_message(frame_bgr(3), stamp_ns(3))[:900],
        b"\x00\x01",
        image_message(np.dstack([frame_bgr(5), frame_bgr(5)[..., :1]]), stamp_ns(5), "bgra8"),
    ]
    for index, data in enumerate(images):
        messages[index] = (IMAGE_TOPIC, IMAGE, stamp_ns(index), data)
    settings = options(write_bag(tmp_path / "b", messages), tmp_path / "out")
    metrics = evaluate(settings)
    assert metrics["frames"] == {
        "total": 8,
        "with_truth": 4,
        "processed": 4,
        "unreadable": 4,
    }
    assert metrics["accuracy"]["segm"]["ap"] == 1.0
    unreadable = [p for p in metrics["problems"]["examples"] if p["kind"] == "unreadable frame"]
    assert [problem["place"].split(",")[0] for problem in unreadable] == [
        f"{IMAGE_TOPIC} frame {index}" for index in (1, 2, 3, 4)
    ]
    assert "hsv8" in unreadable[0]["reason"]
    assert f"4  unreadable frame; e.g. {IMAGE_TOPIC} frame 1, stamp" in summary_text(metrics)
    assert "'hsv8' is not supported" in summary_text(metrics)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_bag_of_video_packets_is_an_error_that_names_the_format(
    tmp_path: Path, num_frames: int
) -> None:
    packet = np.frombuffer(b"\0\0\0\1\x67" + b"\x11" * 200, np.uint8)
    messages = []
    for index in range(num_frames):
        data = compressed_message(packet, stamp_ns(index), "h264")
        messages.append((IMAGE_TOPIC, COMPRESSED_IMAGE, stamp_ns(index), data))
    settings = options(write_bag(tmp_path / "b", messages), tmp_path / "out", truth="")
    words = rf"not one of the {num_frames} images of {IMAGE_TOPIC} can be decoded; .*'h264'"
    with pytest.raises(DataError, match=words):
        evaluate(settings)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_topic_without_messages_is_an_error(tmp_path: Path) -> None:
    store = default_typestore()
    with Writer(tmp_path / "b", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection(IMAGE_TOPIC, IMAGE, typestore=store)
    with pytest.raises(DataError, match=f"b: {IMAGE_TOPIC} has no message"):
        evaluate(options(tmp_path / "b", tmp_path / "out", truth=""))


def test_ten_bits_in_sixteen_are_scaled_and_told(tmp_path: Path) -> None:
    messages = []
    for index, value in enumerate((90, 800, 90)):
        image = np.full((64, 96), value, np.uint16)
        data = mono16_message(image, stamp_ns(index))
        messages.append((IMAGE_TOPIC, IMAGE, stamp_ns(index), data))
    metrics = evaluate(options(write_bag(tmp_path / "b", messages), tmp_path / "out", truth=""))
    assert metrics["bits_in_use"] == 10
    assert "pixels: 10 of 16 bits in use, scaled to 8 as the node does" in summary_text(metrics)


def test_jpeg_and_raw_messages_on_one_topic_are_both_read(tmp_path: Path) -> None:
    _, file = cv2.imencode(".png", frame_bgr(1))
    messages = [
        (IMAGE_TOPIC, IMAGE, stamp_ns(0), image_message(frame_bgr(0), stamp_ns(0))),
        (IMAGE_TOPIC, COMPRESSED_IMAGE, stamp_ns(1), compressed_message(file, stamp_ns(1), "png")),
        *truth_messages(2),
    ]
    metrics = evaluate(options(write_bag(tmp_path / "b", messages), tmp_path / "out"))
    assert metrics["frames"]["processed"] == 2
    assert metrics["accuracy"]["segm"]["ap"] == 1.0


def test_stamps_that_repeat_run_backwards_or_are_zero_are_listed(tmp_path: Path) -> None:
    stamps = [stamp_ns(0), stamp_ns(2), stamp_ns(1), stamp_ns(1), 0]
    messages = [
        (IMAGE_TOPIC, IMAGE, stamp_ns(i), image_message(frame_bgr(i), stamp))
        for i, stamp in enumerate(stamps)
    ]
    bag = write_bag(tmp_path / "b", messages)
    metrics = evaluate(options(bag, tmp_path / "out", truth=""))
    assert metrics["frames"]["processed"] == 5
    assert metrics["problems"]["counts"] == {
        "stamp runs backwards": 1,
        "stamp repeated": 1,
        "zero stamp": 1,
    }
    assert "accuracy" not in metrics
