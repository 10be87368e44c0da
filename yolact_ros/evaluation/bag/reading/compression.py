"""Decompression of a bag's chunks, messages and files; as much as there is of damaged data."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.reading.location import BagPath

__all__ = ["decompress_file", "decompress_lz4", "decompress_zstd", "is_zstd"]

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK_BYTES = 1 << 20


def is_zstd(data: bytes) -> bool:
    """True if ``data`` is a zstd frame; a CDR message starts with 00 00 or 00 01."""
    return data[:4] == ZSTD_MAGIC


def decompress_zstd(data: bytes) -> bytes:
    """Content of one zstd frame; of a cut-off frame what comes before the cut.

    Raises:
        DataError: damaged.
    """
    zstd = _zstd()
    try:
        return bytes(zstd.ZstdDecompressor().decompress(data))
    except zstd.ZstdError as error:
        raise DataError(f"zstd data are damaged: {error}") from error


def decompress_lz4(data: bytes) -> bytes:
    """Content of one LZ4 frame; of a cut-off frame what comes before the cut.

    Raises:
        DataError: damaged, or not an LZ4 frame.
    """
    frame = require("lz4.frame", extra="bag")
    try:
        return bytes(frame.LZ4FrameDecompressor().decompress(data))
    except (RuntimeError, EOFError) as error:
        raise DataError(f"lz4 data are damaged: {error}") from error


def decompress_file(source: BagPath, destination: Path) -> bool:
    """Decompress a zstd file; False if it is cut off or damaged, with the part before it written.

    Raises:
        OSError: reading or writing failed.
    """
    zstd = _zstd()
    with source.open("rb") as compressed, destination.open("wb") as plain:
        try:
            with zstd.open(compressed, "rb") as content:
                while block := content.read1(BLOCK_BYTES):
                    plain.write(block)
        except (EOFError, zstd.ZstdError):
            return False
    return True


def _zstd() -> ModuleType:
    # Part of Python from 3.14 on; rosbags brings the backport before.
    if sys.version_info >= (3, 14):
        return importlib.import_module("compression.zstd")
    return require("backports.zstd", extra="bag")
