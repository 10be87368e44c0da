"""Frames from a video file, a folder of images, one image, a camera or a stream; without ROS."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ImageError

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = [
    "IMAGE_SUFFIXES",
    "Frame",
    "FrameSource",
    "ImageSource",
    "VideoSource",
    "open_source",
    "read_image",
]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
DEFAULT_RATE_HZ = 30.0
FOLDER_RATE_HZ = 10.0


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        image_bgr (uint8[H, W, 3]): the picture.
        name: file stem of an image, six-digit index of a video's frame; unique in the source.
        index: position in the source, from 0.
        time_s: since the first frame by the source's own rate; 0 for a single image.
    """

    image_bgr: NDArray[np.uint8]
    name: str
    index: int
    time_s: float


class FrameSource(ABC):
    """Frames in order; iterate once, close after (or use as a context manager).

    Attributes:
        name: what it is, for messages and output files.
        rate_hz: frames a second; of a folder the rate to play it at.
        num_frames: how many to expect; None where unknown or endless.
        is_live: frames come at the source's pace whether they are read or not.
        is_video: the frames follow each other in time.
        unreadable: images that were passed over because they cannot be read.
    """

    name: str
    rate_hz: float
    num_frames: int | None
    is_live: bool = False
    is_video: bool = True

    def __init__(self) -> None:
        self.unreadable: list[Path] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames that are left."""

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

    def __init__(self, paths: list[Path], name: str, rate_hz: float = FOLDER_RATE_HZ) -> None:
        super().__init__()
        self._paths = paths
        self.name = name
        self.rate_hz = rate_hz
        self.num_frames = len(paths)
        self.is_video = False

    def __iter__(self) -> Iterator[Frame]:
        names = _unique_names(self._paths)
        for index, (path, name) in enumerate(zip(self._paths, names, strict=True)):
            try:
                image_bgr = read_image(path)
            except ImageError:
                if len(self._paths) == 1:
                    raise
                self.unreadable.append(path)
                continue
            yield Frame(image_bgr, name, index, index / self.rate_hz)

    def close(self) -> None:
        """Nothing: no file stays open between two images."""


class VideoSource(FrameSource):
    """A video file, a camera (its index) or a stream (its address), decoded by OpenCV.

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
        self._first: NDArray[np.uint8] | None = _as_bgr(first)
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        # Cameras and some containers announce 0, NaN or their clock's ticks (90000).
        plausible = math.isfinite(rate_hz) and 0.1 <= rate_hz <= 1000.0
        self.rate_hz = rate_hz if plausible else DEFAULT_RATE_HZ
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = count if count > 0 and not self.is_live else None

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        image_bgr, self._first = self._first, None
        while image_bgr is not None:
            yield Frame(image_bgr, f"{index:06d}", index, index / self.rate_hz)
            index += 1
            read, image = self._capture.read()
            image_bgr = _as_bgr(image) if read else None

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
            key=_natural_order,
        )
        if not images:
            raise ImageError(f"{path}: a folder without images ({' '.join(IMAGE_SUFFIXES)})")
        return ImageSource(images, path.resolve().name)
    if not path.exists():
        raise ImageError(
            f"{path}: no such file; expected a video, an image, a folder of images, a camera "
            "index or a stream's address"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], path.stem)
    return VideoSource(path)


def read_image(path: Path, *, apply_orientation: bool = True) -> NDArray[np.uint8]:
    """Read an image file as uint8 BGR [H, W, 3]; 16 bits become 8, alpha is dropped.

    Args:
        path: of the file.
        apply_orientation: turn it as its EXIF says; False keeps the stored rows and columns,
            which annotations are made for.

    Raises:
        ImageError: missing, unreadable or not an image that OpenCV decodes.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
    flags = cv2.IMREAD_COLOR
    if not apply_orientation:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: not an image, or damaged ({data.size} bytes)")
    return _as_bgr(image)


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


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    return [
        (int(piece), "") if piece.isdecimal() else (-1, piece)
        for piece in re.split(r"(\d+)", path.name)
    ]


def _unique_names(paths: list[Path]) -> list[str]:
    """Stems; with the suffix where two files share a stem."""
    stems = [path.stem for path in paths]
    return [
        path.name.replace(".", "_") if stems.count(path.stem) > 1 else path.stem for path in paths
    ]
