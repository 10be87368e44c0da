"""Frames from a video file, a folder of images, one image, a camera or a stream; without ROS."""

from __future__ import annotations

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ImageError
from yolact_ros.inference.image_file import IMAGE_SUFFIXES, read_image

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = [
    "Frame",
    "FrameSource",
    "ImageSource",
    "VideoSource",
    "natural_order",
    "open_source",
]

DEFAULT_RATE_HZ = 30.0
FOLDER_RATE_HZ = 10.0
# Frames that come this much early still fall into a slot of their own at the nominal rate.
JITTER = 0.9
MOST_STEADY_RATE_HZ = 120.0


@dataclass(frozen=True)
class Frame:
    """One image of a source, uint8[H, W, 3].

    Attributes:
        name: file stem of an image, six-digit index of a video's frame; unique in the source.
        index: position in the source, from 0.
        time_s: since the first frame, never falling: of a video by its container, of a camera or
            stream by the clock when it came, of a folder by its rate.
        file_name: of an image file, without its folder; empty for a frame of a video.
    """

    image_bgr: NDArray[np.uint8]
    name: str
    index: int
    time_s: float
    file_name: str = ""


class FrameSource(ABC):
    """Frames in order; iterate once, close after (or use as a context manager).

    Attributes:
        name: what it is, for messages and output files.
        rate_hz: frames a second; of a folder the rate to play it at.
        num_frames: how many to expect; None where unknown or endless.
        is_live: frames come at the source's pace whether they are read or not.
        is_video: the frames follow each other in time.
        unreadable: images that were passed over, each with the reason.
    """

    name: str
    rate_hz: float
    num_frames: int | None
    is_live: bool = False
    is_video: bool = True

    def __init__(self) -> None:
        self.unreadable: list[ImageError] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames that are left."""

    def steady_rate_hz(self) -> float:
        """Frames a second of a video of steady rate that shows every frame; by default its own."""
        return self.rate_hz

    @abstractmethod
    def close(self) -> None:
        """Release the file or device; the source is at its end afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ImageSource(FrameSource):
    """Image files in the given order.

    A file that cannot be read is passed over and listed in ``unreadable``; where it is the only
    one, reading it raises ImageError.
    """

    rate_hz = FOLDER_RATE_HZ
    is_video = False

    def __init__(self, paths: list[Path], name: str) -> None:
        super().__init__()
        self._paths = paths
        self.name = name
        self.num_frames = len(paths)

    def __iter__(self) -> Iterator[Frame]:
        names = _unique_names(self._paths)
        for index, (path, name) in enumerate(zip(self._paths, names, strict=True)):
            try:
                image_bgr = read_image(path)
            except ImageError as error:
                if len(self._paths) == 1:
                    raise
                self.unreadable.append(error)
                continue
            yield Frame(image_bgr, name, index, index / self.rate_hz, path.name)

    def close(self) -> None:
        """Nothing: no file stays open between two images."""


class VideoSource(FrameSource):
    """A video file, a camera (its index) or a stream (its address), decoded by OpenCV.

    The rate of a video may vary, as that of telephones does: ``rate_hz`` is its average or nominal
    rate, and the times of its frames are the container's.

    Raises:
        ImageError: it cannot be opened or its first frame cannot be decoded.
    """

    def __init__(self, source: Path | int | str) -> None:
        super().__init__()
        self.is_live = not isinstance(source, Path)
        self.name = f"camera{source}" if isinstance(source, int) else Path(str(source)).stem
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        opened, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not opened or first is None:
            self._capture.release()
            raise ImageError(_not_a_video(source))
        self._source = source
        self._first: NDArray[np.uint8] | None = _as_bgr(first)
        self._first_s = self._now_s()
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        # Cameras and some containers announce 0, NaN or their clock's ticks (90000).
        plausible = math.isfinite(rate_hz) and 0.1 <= rate_hz <= 1000.0
        self.rate_hz = rate_hz if plausible else DEFAULT_RATE_HZ
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = count if count > 0 and not self.is_live else None

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        time_s = 0.0
        image_bgr, self._first = self._first, None
        if self.is_live:
            self._first_s = self._now_s()  # it may have waited since it was opened
        while image_bgr is not None:
            yield Frame(image_bgr, f"{index:06d}", index, time_s)
            index += 1
            read, image = self._capture.read()
            if not read:
                return
            image_bgr = _as_bgr(image)
            time_s = self._later(time_s, self._now_s() - self._first_s)

    def steady_rate_hz(self) -> float:
        """As :class:`FrameSource`; a video file whose rate varies is decoded once more for it."""
        if self.is_live:
            return self.rate_hz
        with VideoSource(self._source) as again:
            gaps_s = np.diff(list(again._times_s()))
        if gaps_s.size == 0 or gaps_s.min() >= JITTER / self.rate_hz:
            return self.rate_hz
        return float(min(1.0 / gaps_s.min(), MOST_STEADY_RATE_HZ))

    def _times_s(self) -> Iterator[float]:
        """The times of all frames, from the beginning, without their pixels."""
        time_s = 0.0
        yield time_s
        while self._capture.grab():
            time_s = self._later(time_s, self._now_s() - self._first_s)
            yield time_s

    def _now_s(self) -> float:
        """The time of the frame that was read last, by the container or the clock."""
        if self.is_live:
            return time.monotonic()
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3

    def _later(self, before_s: float, time_s: float) -> float:
        """``time_s``; where a container gives none, or one that is past, a period later."""
        return time_s if before_s < time_s < math.inf else before_s + 1.0 / self.rate_hz

    def close(self) -> None:
        """Release the file or device."""
        self._first = None
        self._capture.release()


def open_source(source: str | Path | int) -> FrameSource:
    """Open what ``source`` names.

    Args:
        source: a camera index (``0`` or ``/dev/video0``), the address of a stream
            (``rtsp://...``), the path of a folder of images, of an image, or of a video.

    Raises:
        ImageError: nothing there, a folder without images, or not decodable.
    """
    text = str(source)
    device = re.fullmatch(r"(?:/dev/video)?(\d+)", text)
    if device and not Path(text).is_file():
        return VideoSource(int(device[1]))
    if "://" in text:
        return VideoSource(text)
    path = Path(text).expanduser()
    if path.is_dir():
        images = sorted(
            (file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES),
            key=lambda path: natural_order(path.name),
        )
        if not images:
            raise ImageError(f"{path}: a folder without images ({' '.join(IMAGE_SUFFIXES)})")
        return ImageSource(images, path.resolve().name)
    if not path.exists():
        raise ImageError(
            f"{path}: no such file; expected a video, an image, a folder of images, a camera "
            "index or a stream's address"
        )
    if _is_image(path):
        return ImageSource([path], path.stem)
    return VideoSource(path)


def _is_image(path: Path) -> bool:
    """By its name, or by its content where the name says nothing; a GIF plays as a video."""
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES or (suffix != ".gif" and cv2.haveImageReader(str(path)))


def _as_bgr(image: Any) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _not_a_video(source: Path | int | str) -> str:
    if isinstance(source, Path):
        return f"{source}: not a video or image that OpenCV decodes"
    if isinstance(source, str):
        return f"{source}: no stream that OpenCV can open there"
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    there = f"this machine has {', '.join(devices)}" if devices else "this machine has no camera"
    return f"camera {source} cannot be opened; {there}"


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key to sort by that has frame2 before frame10."""
    return [
        (int(piece), "") if piece.isdecimal() else (-1, piece)
        for piece in re.split(r"(\d+)", name)
    ]


def _unique_names(paths: list[Path]) -> list[str]:
    """Stems; with the suffix where two files share a stem."""
    stems = [path.stem for path in paths]
    return [
        path.name.replace(".", "_") if stems.count(path.stem) > 1 else path.stem for path in paths
    ]
