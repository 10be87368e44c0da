"""JSON files as tools write them: UTF-8 and UTF-16, with or without BOM, gzipped or not."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError

__all__ = ["read_json"]

GZIP_MAGIC = b"\x1f\x8b"


def read_json(path: Path) -> Any:
    """Content of a JSON file; NaN and Infinity are read as Python writes them.

    Raises:
        DataError: not readable or not JSON.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if data.startswith(GZIP_MAGIC):
            data = gzip.decompress(data)
        if not data.strip():
            raise DataError(f"{path}: not JSON: the file is empty")
        text = data.decode(json.detect_encoding(data), "surrogatepass")
        del data  # a large file is not kept beside what is parsed from it
        return json.loads(text)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path}: not JSON of a data set: nested too deeply") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
