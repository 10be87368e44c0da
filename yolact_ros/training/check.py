"""The data check before training: every image and mask is decoded once, defects are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import DataError, ImageError
from yolact_ros.inference.image_file import read_annotated_image
from yolact_ros.ops.coco_rle import mask_area
from yolact_ros.training.annotations import (
    DataSource,
    ImageRecord,
    is_held_out,
    read_source,
)

__all__ = ["CheckedData", "read_and_check"]


@dataclass(frozen=True)
class CheckedData:
    """Usable images of a run.

    Attributes:
        defects: what was left out or mended, with counts and examples.
    """

    training: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...]
    defects: Defects

    def describe(self, class_names: Sequence[str]) -> str:
        """Numbers of images and objects per source and per class, one line each."""
        lines = []
        for title, records in (("training", self.training), ("validation", self.validation)):
            for source in sorted({record.source for record in records}):
                own = [record for record in records if record.source == source]
                counts = Counter(item.class_id for record in own for item in record.objects)
                listed = ", ".join(f"{class_names[i]} {counts[i]}" for i in sorted(counts))
                lines.append(f"{title:10s} {source}: {len(own)} images; {listed or 'no objects'}")
        return "\n".join(lines)


def read_and_check(
    sources: Sequence[DataSource],
    validation: Sequence[DataSource],
    class_names: Sequence[str],
    *,
    strict: bool = False,
) -> CheckedData:
    """Read all sources, open every image and mask, and leave out what cannot be used.

    Args:
        sources: training data; their held-out share becomes validation data.
        strict: raise when anything at all is wrong.

    Raises:
        DataError: an annotation file cannot be used; the same image is listed for training and
            for validation; or ``strict`` and there are defects, which the message lists.
    """
    defects = Defects()
    training: list[ImageRecord] = []
    held_out: list[ImageRecord] = []
    for source in sources:
        for record in _usable(source, class_names, defects):
            (held_out if is_held_out(record, source.holdout) else training).append(record)
    for source in validation:
        held_out.extend(_usable(source, class_names, defects))
    shared = {r.path.resolve() for r in training} & {r.path.resolve() for r in held_out}
    if shared:
        raise DataError(
            f"{len(shared)} images are both in the training and the validation data, e.g. "
            f"{min(shared)}; list every image once"
        )
    if strict and defects:
        raise DataError(f"the data have defects (checked with --strict):\n{defects.report()}")
    return CheckedData(tuple(training), tuple(held_out), defects)


def _usable(source: DataSource, class_names: Sequence[str], defects: Defects) -> list[ImageRecord]:
    records, found = read_source(source, class_names)
    defects.merge(found)
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(_open, records))
    usable = []
    for record, found in checked:
        defects.merge(found)
        if record is not None:
            usable.append(record)
    return usable


def _open(record: ImageRecord) -> tuple[ImageRecord | None, Defects]:
    """The record without what cannot be decoded, or None without its image."""
    defects = Defects()
    label = f"{record.source} {record.path.name}"
    height, width = record.height_px, record.width_px
    try:
        _, as_stored = read_annotated_image(record.path, (height, width))
    except ImageError as error:
        defects.add("unreadable image file", f"{record.source} {error}")
        return None, _with_objects(defects, record)
    except DataError as error:
        defects.add("image of another size than listed", f"{record.source} {error}")
        return None, _with_objects(defects, record)
    if as_stored:
        defects.mend("annotated as stored, not as EXIF turns it; read so", label)
    objects = []
    for item in record.objects:
        if not mask_area(item.counts, height * width):
            defects.add("empty mask", item.label)
            continue
        objects.append(item)
    return replace(record, objects=tuple(objects)), defects


def _with_objects(defects: Defects, record: ImageRecord) -> Defects:
    """The defects of an image that is left out, and the objects that go with it."""
    if record.objects:
        kind = "object of an image that was left out"
        defects.add(kind, record.objects[0].label, len(record.objects))
    return defects
