"""Reading frames: real files written by the tests, and what unusable sources get."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact_ros.errors import ImageError
from yolact_ros.inference.sources import ImageSource, VideoSource, open_source, read_image


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
    assert source.unreadable == [tmp_path / "bad.png", tmp_path / "empty.jpg"]


def test_a_damaged_single_image_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(ImageError, match=r"bad\.png: not an image, or damaged \(12 bytes\)"):
        list(open_source(tmp_path / "bad.png"))


@pytest.mark.parametrize(
    "image",
    [
        np.full((5, 7), 200, np.uint8),
        np.full((5, 7), 200 * 257, np.uint16),
        np.full((5, 7, 4), 200, np.uint8),
    ],
    ids=["grey", "16 bits", "alpha"],
)
def test_every_kind_of_image_becomes_8_bit_bgr(tmp_path, image):
    cv2.imwrite(str(tmp_path / "image.png"), image)
    read = read_image(tmp_path / "image.png")
    assert (read.shape, read.dtype) == ((5, 7, 3), np.uint8)
    assert (read == 200).all()


def test_orientation_is_applied_unless_the_stored_rows_are_asked_for(tmp_path):
    encoded = cv2.imencode(".jpg", picture(100))[1].tobytes()
    # APP1 segment: a little-endian TIFF header with the one tag Orientation = 6 (turn right).
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    app1 = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(app1) + 2).to_bytes(2, "big") + app1
    path = tmp_path / "turned.jpg"
    path.write_bytes(encoded[:2] + segment + encoded[2:])
    assert read_image(path).shape == (64, 48, 3)
    assert read_image(path, apply_orientation=False).shape == (48, 64, 3)


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
