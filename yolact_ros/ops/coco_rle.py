"""Masks as COCO's compressed run lengths, without pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.structures import MaskCrop

__all__ = ["encode_crop"]


def encode_crop(crop: MaskCrop, height_px: int, width_px: int) -> dict[str, Any]:
    """A mask in an image of the given size as COCO's compressed RLE: size and counts (str)."""
    counts = _compress(_run_lengths(crop, height_px, width_px))
    return {"size": [height_px, width_px], "counts": counts}


def _run_lengths(crop: MaskCrop, height_px: int, width_px: int) -> NDArray[np.int64]:
    """Lengths of the runs of the whole image's mask, column-major, background first."""
    columns = np.zeros((crop.width, height_px), dtype=np.int8)
    count = crop.width * crop.height
    bits = np.unpackbits(crop.bits, count=count).reshape(crop.height, crop.width)
    columns[:, crop.y_offset : crop.y_offset + crop.height] = bits.T
    flat = columns.reshape(-1)
    changes = np.flatnonzero(np.diff(flat, prepend=np.int8(0))) + crop.x_offset * height_px
    if flat.size and flat[-1] and crop.x_offset + crop.width < width_px:
        changes = np.append(changes, (crop.x_offset + crop.width) * height_px)
    return np.diff(changes, prepend=0, append=height_px * width_px)


def _compress(runs: NDArray[np.int64]) -> str:
    """COCO's string of run lengths: differences to the run before last, five bits a letter."""
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    letters, is_used = [], []
    used = np.ones(len(runs), dtype=bool)
    while used.any():
        bits = rest & 0x1F
        rest = rest >> 5
        more = rest != np.where(bits & 0x10, -1, 0)
        letters.append(bits + 48 + 0x20 * more)
        is_used.append(used)
        used = used & more
    text: bytes = np.stack(letters, 1)[np.stack(is_used, 1)].astype(np.uint8).tobytes()
    return text.decode()
