"""Loading a model with a word about what it left out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from yolact_ros.models.zoo import find_model

if TYPE_CHECKING:
    from yolact_ros.models.checkpoint import Checkpoint
    from yolact_ros.models.yolo_seg_file import YoloSegFile

__all__ = ["open_model"]


def open_model(
    name_or_path: str, class_names: tuple[str, ...] = (), *, input_size_px: int = 0
) -> Checkpoint | YoloSegFile:
    """Read a model by its name or file; remarks go to stderr.

    Raises:
        YolactError: no such model, a file that cannot be used, or wrong class names.
    """
    from yolact_ros.models.checkpoint import read_model

    model = read_model(
        find_model(name_or_path), class_names=class_names, input_size_px=input_size_px
    )
    for remark in model.remarks:
        print(f"yolact: note: {remark}", file=sys.stderr)
    return model
