"""Single JSON values as they were meant: numbers written as text, ids of either type."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Id", "flag", "identity", "number", "numbers", "text_of", "whole_number"]

Id = int | str
"""An id of an image or a category. A number written as text is that number."""

FLAGS = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def number(value: Any) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        converted = float(value)
    except (ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """A list of ``count`` finite numbers; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    converted = tuple(found for item in value if (found := number(item)) is not None)
    return converted if len(converted) == count else None


def whole_number(value: Any) -> int | None:
    """A whole number, also 3.0 and "3"; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Not by way of a float, which is too coarse for a stamp in nanoseconds.
        try:
            return int(value)
        except ValueError:
            pass
    converted = number(value)
    return int(converted) if converted is not None and converted.is_integer() else None


def identity(value: Any) -> Id | None:
    """An id: 7, 7.0 and "7" are the same one, "007" and "cam_a" are texts; None for no id."""
    if isinstance(value, str):
        text = text_of(value)
        if not text:
            return None
        found = whole_number(text)
        return found if found is not None and str(found) == text else text
    return whole_number(value)


def flag(value: Any) -> bool | None:
    """Yes or no, by true, 1, "1" or "true"; an absent one (null) is no; else None."""
    if value is None or value == "":
        return False
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def text_of(value: Any) -> str:
    """A text that can be printed and written, stripped; a number as text; else empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Half a surrogate pair is valid in JSON, but in no file or terminal.
    return str(value).encode("utf-8", "replace").decode().strip()
