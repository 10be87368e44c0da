"""The overlay video and the contact sheet, read back from their files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact_ros.errors import ImageError
from yolact_ros.evaluation.recording import ContactSheet, OverlayVideo


def picture(value: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def greys(path) -> list[int]:
    capture = cv2.VideoCapture(str(path))
    values = []
    while (frame := capture.read()[1]) is not None:
        values.append(round(float(frame.mean()) / 50) * 50)
    return values


def test_a_frame_is_held_until_the_next_ones_time(tmp_path):
    video = OverlayVideo(tmp_path / "overlay.mp4", rate_hz=10.0)
    for value, time_s in ((50, 7.0), (100, 7.3), (150, 7.4), (200, 8.0)):
        video.add(picture(value), time_s)
    video.close()
    assert greys(video.path) == [50] * 3 + [100] + [150] * 6 + [200]
    assert video.frames_written == 11


def test_frames_faster_than_the_video_do_not_make_it_longer(tmp_path):
    video = OverlayVideo(tmp_path / "overlay.mp4", rate_hz=10.0)
    for index in range(41):
        video.add(picture(100), index / 40)
    video.close()
    assert len(greys(video.path)) == 11


def test_a_long_silence_is_cut_to_ten_seconds(tmp_path):
    video = OverlayVideo(tmp_path / "overlay.mp4", rate_hz=5.0)
    for value, time_s in ((50, 0.0), (100, 1000.0), (150, 1000.2)):
        video.add(picture(value), time_s)
    video.close()
    assert greys(video.path)[:50] == [50] * 50
    assert video.frames_written <= 102


def test_what_follows_a_silence_keeps_its_pace(tmp_path):
    video = OverlayVideo(tmp_path / "overlay.mp4", rate_hz=10.0)
    for value, time_s in ((50, 0.0), (100, 60.0), (150, 60.5), (200, 60.7)):
        video.add(picture(value), time_s)
    video.close()
    assert greys(video.path) == [50] * 100 + [100] * 5 + [150] * 2 + [200]


def test_odd_and_changing_sizes_are_fitted_to_the_first(tmp_path):
    video = OverlayVideo(tmp_path / "overlay.mp4", rate_hz=10.0)
    for index, (height, width) in enumerate(((49, 65), (48, 64), (100, 30))):
        video.add(picture(100, height, width), index / 10)
    video.close()
    capture = cv2.VideoCapture(str(video.path))
    assert capture.read()[1].shape == (48, 64, 3)
    assert greys(video.path) == [100] * 3


def test_a_video_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"overlay\.mp4: OpenCV cannot write"):
        OverlayVideo(tmp_path / "none" / "overlay.mp4", 10.0).add(picture(1), 0.0)


def test_a_video_without_frames_leaves_no_file(tmp_path):
    OverlayVideo(tmp_path / "overlay.mp4", 10.0).close()
    assert not (tmp_path / "overlay.mp4").exists()


def test_the_sheet_shows_evenly_spaced_frames_of_the_whole_run():
    sheet = ContactSheet(pictures=4, columns=2, picture_width_px=64)
    for index in range(1001):
        sheet.add(picture(index * 250 // 1000), "")
    drawn = sheet.draw()
    assert drawn.shape == (2 * (48 + 26), 128, 3)
    middles = [int(drawn[row, column].mean()) for row in (24, 98) for column in (32, 96)]
    assert middles == pytest.approx([0, 83, 167, 250], abs=12)


def test_a_short_run_gets_a_small_sheet():
    sheet = ContactSheet()
    sheet.add(picture(10), "one")
    sheet.add(picture(20), "two")
    assert len(sheet) == 2
    assert sheet.draw().shape == (360 + 26, 960, 3)


def test_captions_are_drawn_and_cut_to_the_width():
    sheet = ContactSheet(picture_width_px=64)
    sheet.add(picture(0), "person 0.97 " * 20)
    bar = sheet.draw()[-26:]
    assert bar.max() > 200
    assert (bar[:, -6:] == 24).all()


def test_a_run_of_hours_keeps_a_bounded_number_of_frames():
    sheet = ContactSheet(pictures=3, picture_width_px=8)
    small = picture(1, 4, 8)
    for _ in range(5000):
        sheet.add(small, "")
    assert len(sheet._kept) <= 60


def test_the_sheet_is_saved_and_an_unwritable_place_is_named(tmp_path):
    sheet = ContactSheet()
    with pytest.raises(ImageError, match="at least one picture"):
        sheet.save(tmp_path / "sheet.png")
    sheet.add(picture(10), "one")
    sheet.save(tmp_path / "sheet.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "sheet.png")), sheet.draw())
    with pytest.raises(ImageError, match="cannot be written"):
        sheet.save(tmp_path / "none" / "sheet.png")
