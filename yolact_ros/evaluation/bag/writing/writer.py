"""Writes a new MCAP bag: images, compressed images and InstanceArray messages."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FrameInstances
from yolact_ros.evaluation.bag.reading.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    INSTANCE_ARRAY,
    RawMessage,
    default_typestore,
    message_header,
    serialize_instances,
)

__all__ = ["BagWriter"]

JPEG_QUALITY = 90


class BagWriter:
    """A rosbag2 folder with one MCAP file, chunks compressed with zstd.

    The folder appears under its name when the writer is closed; an exception or a kill before
    leaves nothing there. Use as a context manager.

    Raises:
        DataError: ``path`` exists, or cannot be written.
        DependencyError: rosbags is not installed.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        rosbag2 = require("rosbags.rosbag2", extra="bag")
        if path.exists() and not overwrite:
            raise DataError(f"{path} exists; choose another name, or --overwrite")
        if path.exists() and not (path / "metadata.yaml").is_file():
            raise DataError(f"{path} exists and is no bag; it is not overwritten")
        self._path = path
        self._store = default_typestore()
        self._connections: dict[tuple[str, str], Any] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Beside its destination, so that the last step is a rename. rosbags names the file
            # inside after the folder.
            self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            self._writer = rosbag2.Writer(
                self._folder / path.name,
                version=9,
                storage_plugin=rosbag2.StoragePlugin.MCAP,
            )
            self._writer.set_compression(
                rosbag2.CompressionMode.STORAGE, rosbag2.CompressionFormat.ZSTD
            )
            self._writer.open()
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error

    def write_instances(self, topic: str, frame: FrameInstances, log_time_ns: int) -> None:
        """Write an InstanceArray."""
        self._write(topic, INSTANCE_ARRAY, serialize_instances(frame), log_time_ns)

    def write_image(
        self,
        topic: str,
        image_bgr: NDArray[np.uint8],
        stamp_ns: int,
        log_time_ns: int,
        frame_id: str = "",
        *,
        as_jpeg: bool = False,
    ) -> None:
        """Write uint8[H, W, 3] as a bgr8 Image, or as a CompressedImage with a JPEG file."""
        header = message_header(stamp_ns, frame_id)
        if as_jpeg:
            _, file = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            message_type = COMPRESSED_IMAGE
            fields: dict[str, Any] = {
                "format": "bgr8; jpeg compressed bgr8",
                "data": file.reshape(-1),
            }
        else:
            message_type = IMAGE
            fields = {
                "height": image_bgr.shape[0],
                "width": image_bgr.shape[1],
                "encoding": "bgr8",
                "is_bigendian": 0,
                "step": 3 * image_bgr.shape[1],
                "data": np.ascontiguousarray(image_bgr).reshape(-1),
            }
        message = self._store.types[message_type](header=header, **fields)
        data = self._store.serialize_cdr(message, message_type)
        self._write(topic, message_type, data, log_time_ns)

    def copy(self, message: RawMessage) -> None:
        """Write a message of another bag unchanged, its definition with it."""
        topic = message.topic
        self._write(topic.name, topic.message_type, message.data, message.log_time_ns)

    def _write(
        self, topic: str, message_type: str, data: bytes | memoryview, log_time_ns: int
    ) -> None:
        connection = self._connections.get((topic, message_type))
        try:
            if connection is None:
                connection = self._writer.add_connection(
                    topic, message_type, typestore=self._store
                )
                self._connections[topic, message_type] = connection
            self._writer.write(connection, log_time_ns, data)
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written: {error}") from error

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the bag and give it its name; after an exception leave nothing behind."""
        try:
            if kind is not None:
                self._writer.abort()
                return
            self._writer.close()
            if self._path.exists():
                shutil.rmtree(self._path)
            (self._folder / self._path.name).rename(self._path)
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written: {error}") from error
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
