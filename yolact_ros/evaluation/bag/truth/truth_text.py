"""Truth from the text formats of MOTChallenge (boxes) and of MOTS (masks), with track ids.

https://motchallenge.net/instructions and https://www.vision.rwth-aachen.de/page/mots
"""

from __future__ import annotations

import configparser
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.segmentation import to_counts
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.truth.truth import Truth
from yolact_ros.ops.coco_rle import mask_box_xywh

__all__ = ["read_truth_text"]

# Of MOT16 and later; the others are distractors, which may be found or not.
MOT_CLASSES = {1: "person", 3: "car", 4: "bicycle", 5: "motorcycle"}
MOT_COLUMNS = 6
MOTS_CLASSES = {1: "car", 2: "person"}
MOTS_COLUMNS = 6


def read_truth_text(path: Path) -> Truth:
    """Read a MOT or MOTS text file; frames are tied by their position on the topic.

    A MOT file (commas) needs ``seqinfo.ini`` beside it or one folder up, for the images' size. Its
    frames count from 1; those of a MOTS file (blanks) from 0 where one is 0, else from 1.

    Raises:
        DataError: not such a file; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise DataError(f"{path}: has no line")
    is_mot = "," in numbered[0][1]
    parsed: list[tuple[int, FoundInstance]] = []
    size, length = _sequence(path) if is_mot else ((0, 0), 0)
    for number, line in numbered:
        try:
            if is_mot:
                parsed.append(_mot_row(line))
            else:
                frame, row, size = _mots_row(line)
                parsed.append((frame, row))
        except ValueError as error:
            expected = (
                "frame,id,left,top,width,height,flag,class,visibility"
                if is_mot
                else "frame id class height width rle"
            )
            raise DataError(f"{path} line {number}: {error}; expected {expected}") from error
    first = 1 if is_mot or min(frame for frame, _ in parsed) else 0
    return _truth(path, parsed, first, length, size)


def _truth(
    path: Path,
    parsed: list[tuple[int, FoundInstance]],
    first: int,
    length: int,
    size: tuple[int, int],
) -> Truth:
    names = sorted({row.class_name for _, row in parsed if not row.is_crowd})
    if not names:
        raise DataError(f"{path}: has no object of {', '.join(MOT_CLASSES.values())}")
    by_frame: dict[int, list[FoundInstance]] = defaultdict(list)
    for frame, row in parsed:
        # A distractor stands beside the objects of every class.
        for class_id, name in enumerate(names):
            if row.is_crowd or row.class_name == name:
                by_frame[frame - first].append(replace(row, class_id=class_id, class_name=name))
    frames = (
        (index, FrameInstances(*size, tuple(by_frame.get(index, []))))
        for index in range(max(length, max(by_frame) + 1))
    )
    categories = [CocoCategory(number, name) for number, name in enumerate(names, 1)]
    return Truth("index", categories, frames)


def _mot_row(line: str) -> tuple[int, FoundInstance]:
    values = [float(value) for value in line.split(",")]
    if len(values) < MOT_COLUMNS:
        raise ValueError(f"{len(values)} values")
    frame, track_id = int(values[0]), int(values[1])
    left, top, width, height = values[2:6]
    # Without a flag and a class it is an object: a person, as all were before MOT16.
    counts = len(values) <= MOT_COLUMNS or values[6] != 0
    class_id = int(values[7]) if len(values) > 7 and values[7] > 0 else 1
    is_object = counts and class_id in MOT_CLASSES
    box = (left - 1, top - 1, width, height)  # the first pixel is 1
    name = MOT_CLASSES.get(class_id, "")
    return frame, FoundInstance(0, name, float(is_object), box, track_id=track_id)


def _mots_row(line: str) -> tuple[int, FoundInstance, tuple[int, int]]:
    values = line.split()
    if len(values) != MOTS_COLUMNS:
        raise ValueError(f"{len(values)} values")
    frame, track_id, class_id, height, width = (int(value) for value in values[:5])
    try:
        counts, _ = to_counts({"size": [height, width], "counts": values[5]}, height, width)
        box = mask_box_xywh(counts, height, width) or (0.0, 0.0, 0.0, 0.0)
    except DataError as error:
        raise ValueError(f"a mask that cannot be read: {error}") from error
    name, is_object = MOTS_CLASSES.get(class_id, ""), class_id in MOTS_CLASSES
    row = FoundInstance(0, name, float(is_object), box, counts, track_id=track_id)
    return frame, row, (height, width)


def _sequence(path: Path) -> tuple[tuple[int, int], int]:
    """Height and width of the images, and how many there are."""
    for folder in (path.parent, path.resolve().parent.parent):
        file = folder / "seqinfo.ini"
        if not file.is_file():
            continue
        parser = configparser.ConfigParser()
        try:
            parser.read(file, encoding="utf-8")
            section = parser["Sequence"]
            size = (int(section["imHeight"]), int(section["imWidth"]))
            return size, int(section.get("seqLength", "0"))
        except (configparser.Error, KeyError, ValueError) as error:
            raise DataError(f"{file}: no imHeight and imWidth in [Sequence] ({error})") from error
    raise DataError(
        f"{path}: a MOT file does not say how large the images are; put its seqinfo.ini beside it "
        "([Sequence] with imHeight, imWidth, seqLength)"
    )
