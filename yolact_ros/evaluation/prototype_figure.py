"""The prototype masks of an image as one picture, like the figure in the paper (section 6)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_prototypes"]

TILE_WIDTH_PX = 192
GAP_PX = 2


def draw_prototypes(
    image_bgr: NDArray[np.uint8], prototypes: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A grid with the image first and then its k prototypes, bright where they are active.

    Each prototype is scaled to its own largest value, which is written beside its number.

    Args:
        image_bgr (uint8[H, W, 3]): the image.
        prototypes (float32[h, w, k]): not negative.

    Returns:
        uint8 [*, *, 3] BGR.
    """
    height_px = max(round(TILE_WIDTH_PX * image_bgr.shape[0] / image_bgr.shape[1]), 16)
    size = (TILE_WIDTH_PX, height_px)
    tiles = [np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA))]
    for index in range(prototypes.shape[2]):
        values = prototypes[:, :, index]
        peak = float(values.max())
        scaled = np.clip(values * (255 / peak if peak > 0 else 0), 0, 255).astype(np.uint8)
        enlarged = cv2.resize(scaled, size, interpolation=cv2.INTER_LINEAR)
        tile = np.asarray(cv2.applyColorMap(enlarged, cv2.COLORMAP_VIRIDIS))
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                tile, f"{index}  max {peak:.2g}", (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42,
                colour, thickness, cv2.LINE_AA,
            )  # fmt: skip
        tiles.append(tile)
    columns = math.ceil(math.sqrt(len(tiles) * height_px / TILE_WIDTH_PX * 1.6))
    columns = min(max(columns, 1), len(tiles))
    rows = -(-len(tiles) // columns)
    step_x, step_y = TILE_WIDTH_PX + GAP_PX, height_px + GAP_PX
    grid = np.full((rows * step_y - GAP_PX, columns * step_x - GAP_PX, 3), 255, np.uint8)
    for position, tile in enumerate(tiles):
        top, left = position // columns * step_y, position % columns * step_x
        grid[top : top + height_px, left : left + TILE_WIDTH_PX] = tile
    return grid
