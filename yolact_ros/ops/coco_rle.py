"""Masks as COCO's compressed run lengths, without pycocotools.

Runs go column by column and begin with background. In the text each run is written as its
difference to the run before last, five bits a letter.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError
from yolact_ros.structures import MaskCrop

__all__ = [
    "compress",
    "decode_crop",
    "decode_mask",
    "encode_box",
    "encode_crop",
    "mask_area",
    "mask_box_xywh",
    "run_lengths",
    "without_empty_runs",
]

FIRST_LETTER = 48
CONTINUES = 0x20
# Seven letters hold any run of an image whose pixels an int32 can count.
MAX_LETTERS_OF_A_RUN = 7


def encode_crop(crop: MaskCrop, height_px: int, width_px: int) -> dict[str, Any]:
    """A mask in an image of the given size as COCO's compressed RLE: size and counts (str)."""
    counts = compress(_run_lengths(crop, height_px, width_px))
    return {"size": [height_px, width_px], "counts": counts}


def encode_box(
    bbox_xywh: tuple[float, float, float, float], height_px: int, width_px: int
) -> dict[str, Any]:
    """The pixels of the image that a box touches, as COCO's compressed RLE."""
    x, y, width, height = bbox_xywh
    left, right = (min(max(edge, 0), width_px) for edge in (floor(x), ceil(x + width)))
    top, bottom = (min(max(edge, 0), height_px) for edge in (floor(y), ceil(y + height)))
    runs = np.tile([bottom - top, height_px - (bottom - top)], right - left)
    before_px, after_px = left * height_px + top, (width_px - right) * height_px - top
    runs = np.append(before_px, runs) if runs.size else np.array([height_px * width_px])
    runs[-1] += after_px if right > left else 0
    return {"size": [height_px, width_px], "counts": compress(without_empty_runs(runs))}


def without_empty_runs(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same mask without runs of no pixel but the first, which other code does not expect."""
    if not (runs[1:] == 0).any():
        return runs
    is_inside = np.arange(len(runs)) % 2
    is_inside, kept = is_inside[runs > 0], runs[runs > 0]
    starts = np.flatnonzero(np.diff(is_inside, prepend=-1))
    merged = np.add.reduceat(kept, starts)
    return np.append(0, merged) if is_inside[0] else merged


def run_lengths(counts: str, num_pixels: int) -> NDArray[np.int64]:
    """Lengths of the runs in COCO's text, from any source.

    Raises:
        DataError: not such a text, or its runs do not add up to the ``num_pixels`` of the image.
    """
    letters = np.frombuffer(counts.encode("ascii", "replace"), np.uint8).astype(np.int64)
    letters -= FIRST_LETTER
    if not letters.size or letters.min() < 0 or letters.max() > 63 or letters[-1] & CONTINUES:
        raise DataError("its counts are not the text of COCO's run lengths")
    ends = np.flatnonzero(letters & CONTINUES == 0)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if lengths.max() > MAX_LETTERS_OF_A_RUN:
        raise DataError("its counts hold a run that is longer than any image")
    places = np.arange(letters.size) - np.repeat(starts, lengths)
    runs = np.add.reduceat((letters & 0x1F) << (5 * places), starts)
    runs -= np.where(letters[ends] & 0x10, 1 << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or int(runs.sum()) != num_pixels:
        raise DataError(f"its run lengths do not add up to the {num_pixels} pixels of the image")
    return runs


def decode_mask(counts: str, height_px: int, width_px: int) -> NDArray[np.uint8]:
    """The mask uint8[height, width] of 0/1, rows contiguous; raises as :func:`run_lengths`."""
    runs = run_lengths(counts, height_px * width_px)
    columns = np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs)
    return np.ascontiguousarray(columns.reshape(width_px, height_px).T)


def decode_crop(counts: str, height_px: int, width_px: int) -> MaskCrop:
    """The smallest crop that holds the mask; the inverse of :func:`encode_crop`.

    Raises as :func:`run_lengths`.
    """
    box = mask_box_xywh(counts, height_px, width_px)
    if box is None:
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    x_px, y_px, width, height = map(int, box)
    full = decode_mask(counts, height_px, width_px)
    bits = np.packbits(full[y_px : y_px + height, x_px : x_px + width])
    return MaskCrop(x_px, y_px, width, height, bits)


def mask_area(counts: str, num_pixels: int) -> int:
    """Pixels inside; raises as :func:`run_lengths`."""
    return int(run_lengths(counts, num_pixels)[1::2].sum())


def mask_box_xywh(
    counts: str, height_px: int, width_px: int
) -> tuple[float, float, float, float] | None:
    """The smallest rectangle around the mask: left, top, width, height; None for an empty mask.

    Raises as :func:`run_lengths`.
    """
    runs = run_lengths(counts, height_px * width_px)
    ends = np.cumsum(runs)[1::2]
    starts = ends - runs[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not starts.size:
        return None
    left, right = int(starts[0]) // height_px, int(ends[-1] - 1) // height_px + 1
    if (starts // height_px != (ends - 1) // height_px).any():
        top, bottom = 0, height_px  # a run that goes on in the next column touches both edges
    else:
        top, bottom = int((starts % height_px).min()), int(((ends - 1) % height_px).max()) + 1
    return float(left), float(top), float(right - left), float(bottom - top)


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


def compress(runs: NDArray[np.int64]) -> str:
    """COCO's text of at least one run length."""
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    letters, is_used = [], []
    used = np.ones(len(runs), dtype=bool)
    while used.any():
        bits = rest & 0x1F
        rest = rest >> 5
        more = rest != np.where(bits & 0x10, -1, 0)
        letters.append(bits + FIRST_LETTER + CONTINUES * more)
        is_used.append(used)
        used = used & more
    text: bytes = np.stack(letters, 1)[np.stack(is_used, 1)].astype(np.uint8).tobytes()
    return text.decode()
