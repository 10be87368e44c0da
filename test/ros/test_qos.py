"""Which reliability the image subscription asks for, and what Fast DDS is set to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.qos import HistoryPolicy, ReliabilityPolicy

from yolact_ros.ros.qos import (
    LARGE_SEGMENT_BYTES,
    choose_reliability,
    image_qos,
    shared_memory_segment_bytes,
)

PROFILE = Path(__file__).parents[2] / "config" / "fastdds.xml"


@pytest.mark.parametrize(
    ("setting", "offers", "large_segment", "loses", "reliable"),
    [
        ("auto", [], False, False, False),
        ("auto", [True, True], False, False, True),
        ("auto", [True, False], False, False, False),
        ("auto", [True], True, False, False),
        ("auto", [True], True, True, True),
        ("auto", [False], False, True, False),
        ("reliable", [False], True, False, True),
        ("best_effort", [True], False, True, False),
    ],
)
def test_reliable_is_asked_for_only_where_all_offer_it_and_best_effort_loses(
    setting: str, offers: list[bool], large_segment: bool, loses: bool, reliable: bool
) -> None:
    choice = choose_reliability(setting, offers, large_segment=large_segment, loses_frames=loses)
    assert choice.reliable is reliable
    assert choice.reason


def test_only_the_newest_image_is_kept() -> None:
    qos = image_qos(reliable=False)
    assert (qos.history, qos.depth) == (HistoryPolicy.KEEP_LAST, 1)
    assert qos.reliability == ReliabilityPolicy.BEST_EFFORT


def test_the_shipped_profile_has_room_for_images() -> None:
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        size_bytes = shared_memory_segment_bytes({variable: str(PROFILE)})
        assert size_bytes is not None
        assert size_bytes >= LARGE_SEGMENT_BYTES


def test_a_profile_without_a_size_is_no_profile(tmp_path: Path) -> None:
    variable = "FASTRTPS_DEFAULT_PROFILES_FILE"
    assert shared_memory_segment_bytes({}) is None
    assert shared_memory_segment_bytes({variable: str(tmp_path / "absent.xml")}) is None
    for text in ("<dds/>", "no xml", "<dds><segment_size>big</segment_size></dds>"):
        (tmp_path / "profile.xml").write_text(text)
        assert shared_memory_segment_bytes({variable: str(tmp_path / "profile.xml")}) is None
