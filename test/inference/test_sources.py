"""Reading frames: real files written by the tests, and what unusable sources get."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from PIL import Image

from yolact_ros.errors import ImageError
from yolact_ros.inference import sources
from yolact_ros.inference.sources import ImageSource, VideoSource, open_source


def picture(value: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write_video(path, values, rate_hz=12.5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate_hz, (64, 48))
    assert writer.isOpened()
    for value in values:
        writer.write(picture(value))
    writer.release()
    return path


def test_a_video_gives_its_frames_in_order_with_times_at_its_rate(tmp_path):
    with open_source(write_video(tmp_path / "clip.mp4", [20, 90, 160, 230])) as source:
        assert (source.name, source.rate_hz, source.num_frames) == ("clip", 12.5, 4)
        assert source.is_video
        assert not source.is_live
        frames = list(source)
    assert [frame.name for frame in frames] == ["000000", "000001", "000002", "000003"]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.08, 0.16, 0.24])
    assert [round(float(f.image_bgr.mean())) for f in frames] == pytest.approx(
        [20, 90, 160, 230], abs=3
    )
    assert frames[0].image_bgr.shape == (48, 64, 3)


def test_a_folder_gives_its_images_as_people_count_and_nothing_else(tmp_path):
    for name, value in (("frame10.png", 3), ("frame2.png", 2), ("frame1.PNG", 1)):
        assert cv2.imwrite(str(tmp_path / name.lower()), picture(value))
        (tmp_path / name.lower()).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    with open_source(tmp_path) as source:
        assert source.num_frames == 3
        assert not source.is_video
        frames = list(source)
    assert [frame.name for frame in frames] == ["frame1", "frame2", "frame10"]
    assert [int(frame.image_bgr[0, 0, 0]) for frame in frames] == [1, 2, 3]


def test_names_stay_apart_when_two_images_share_a_stem(tmp_path):
    for name in ("a.png", "a.bmp", "b.png"):
        cv2.imwrite(str(tmp_path / name), picture(1))
    assert [frame.name for frame in open_source(tmp_path)] == ["a_bmp", "a_png", "b"]


def test_a_damaged_image_in_a_folder_is_passed_over_and_listed(tmp_path):
    cv2.imwrite(str(tmp_path / "good.png"), picture(1))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no more")
    (tmp_path / "empty.jpg").touch()
    source = open_source(tmp_path)
    assert [frame.name for frame in source] == ["good"]
    assert [str(error).split(":")[0] for error in source.unreadable] == [
        str(tmp_path / "bad.png"),
        str(tmp_path / "empty.jpg"),
    ]


def test_a_damaged_single_image_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(ImageError, match=r"bad\.png: not an image .* damaged \(12 bytes\)"):
        list(open_source(tmp_path / "bad.png"))


def test_unusable_sources_say_what_was_expected(tmp_path):
    with pytest.raises(ImageError, match="no such file; expected a video"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(ImageError, match="a folder without images"):
        open_source(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ImageError, match=r"text\.mp4: not a video or image that OpenCV decodes"):
        open_source(tmp_path / "text.mp4")


@pytest.mark.parametrize("spec", [97, "97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_named(spec):
    with pytest.raises(ImageError, match="camera 97 cannot be opened; this machine has"):
        open_source(spec)


def test_a_file_whose_name_is_a_number_is_not_a_camera(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "7.mp4", [20, 90]).rename(tmp_path / "7")
    source = open_source("7")
    assert isinstance(source, VideoSource)
    assert not source.is_live


def test_a_video_without_a_usable_rate_is_played_at_thirty(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", [20, 90])
    real = cv2.VideoCapture

    class Rateless:
        def __init__(self, source):
            self._capture = real(source)

        def get(self, key):
            return float("nan") if key == cv2.CAP_PROP_FPS else self._capture.get(key)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Rateless)
    assert open_source(path).rate_hz == 30.0


def test_one_image_is_a_source_of_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), picture(9))
    source = open_source(str(tmp_path / "photo.png"))
    assert isinstance(source, ImageSource)
    assert [(frame.name, frame.time_s) for frame in source] == [("photo", 0.0)]


TIMES_MS = (0, 100, 200, 300, 800, 1300, 2300)


@pytest.fixture
def uneven_clip(tmp_path):
    """A clip whose frames come 10 and then 2 and 1 a second; a GIF file has a time for each."""
    frames = [Image.fromarray(picture(20 + 30 * index)) for index in range(len(TIMES_MS))]
    gaps_ms = [*np.diff(TIMES_MS).tolist(), 100]
    frames[0].save(
        tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=gaps_ms, loop=0
    )
    return tmp_path / "clip.gif"


def test_frames_of_a_video_of_varying_rate_have_the_times_of_its_container(uneven_clip):
    with open_source(uneven_clip) as source:
        frames = list(source)
    assert [round(frame.time_s * 1e3) for frame in frames] == list(TIMES_MS)
    assert [round(float(frame.image_bgr.mean()), -1) for frame in frames] == [
        20, 50, 80, 110, 140, 170, 200,
    ]  # fmt: skip


def test_a_steady_video_of_it_needs_the_rate_of_its_closest_frames(uneven_clip, tmp_path):
    with open_source(uneven_clip) as source:
        assert source.rate_hz < 4  # the average
        assert source.steady_rate_hz() == pytest.approx(10.0)
        assert len(list(source)) == len(TIMES_MS)  # still from the first
    with open_source(write_video(tmp_path / "even.mp4", [20, 90, 160])) as source:
        assert source.steady_rate_hz() == 12.5


def clock_of(monkeypatch, path, times_ms):
    """The video at ``path``, its container giving these times."""
    real = cv2.VideoCapture

    class Clocked:
        def __init__(self, source):
            self._capture = real(source)
            self._times_ms = iter(times_ms)

        def read(self):
            self._now_ms = next(self._times_ms, 0.0)
            return self._capture.read()

        def get(self, key):
            return self._now_ms if key == cv2.CAP_PROP_POS_MSEC else self._capture.get(key)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Clocked)
    return open_source(path)


@pytest.mark.parametrize(
    ("container_ms", "expected_ms"),
    [
        ((700, 740, 800, 900), (0, 40, 100, 200)),
        ((0, 0, 0, 0), (0, 80, 160, 240)),
        ((0, 80, 40, 200), (0, 80, 160, 200)),
        ((0, math.nan, math.inf, 200), (0, 80, 160, 200)),
    ],
    ids=["begins late", "has no times", "goes back", "is no number"],
)
def test_times_begin_at_zero_and_rise_whatever_the_container_says(
    tmp_path, monkeypatch, container_ms, expected_ms
):
    path = write_video(tmp_path / "clip.mp4", [20, 90, 160, 230])
    frames = list(clock_of(monkeypatch, path, container_ms))
    assert [round(frame.time_s * 1e3) for frame in frames] == list(expected_ms)


def test_frames_of_a_camera_have_the_time_when_they_came(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", [20, 90, 160])
    source = open_source(f"file://{path}")  # a stream, as far as the source knows
    assert source.is_live
    now_s = iter((50.0, 51.5, 51.75))  # reading begins long after it was opened
    monkeypatch.setattr(sources.time, "monotonic", lambda: next(now_s))
    assert [frame.time_s for frame in source][:3] == [0.0, 1.5, 1.75]


def test_an_image_is_known_by_its_content_where_its_name_says_nothing(tmp_path):
    (tmp_path / "photo.jfif").write_bytes(cv2.imencode(".jpg", picture(90))[1].tobytes())
    (tmp_path / "photo").write_bytes(cv2.imencode(".png", picture(90))[1].tobytes())
    for name in ("photo.jfif", "photo"):
        source = open_source(tmp_path / name)
        assert isinstance(source, ImageSource), name
        assert [frame.name for frame in source] == ["photo"]
