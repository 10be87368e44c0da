"""COCO-format data sets as the records that training needs, with every defect counted."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoImage
from yolact_ros.datasets.coco_file import read_categories, read_coco_file
from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.values import Id
from yolact_ros.errors import ConfigError, DataError

__all__ = [
    "DataSource",
    "ImageRecord",
    "ObjectRecord",
    "category_names",
    "is_held_out",
    "read_source",
]

# Polygons of real data sets stick out of their image by rounding; more than this is a defect.
BOX_TOLERANCE_PX = 2.0
HASH_BUCKETS = 1000


@dataclass(frozen=True)
class DataSource:
    """One COCO-format data set.

    Attributes:
        images: folder that the annotation file's ``file_name`` entries are relative to.
        annotations: COCO instances JSON.
        labels_only: names of the only classes that are labelled in these images; empty = all
            classes of the network are labelled. Other classes are then neither foreground nor
            background there.
        weight: share of this source in the drawn images; 0 = its number of images.
        holdout: share of the images that is kept for validation, chosen by a hash of the image
            id so that the choice outlives other images being added.

    Raises:
        ConfigError: a share that is none.
    """

    name: str
    images: Path
    annotations: Path
    labels_only: tuple[str, ...] = ()
    weight: float = 0.0
    holdout: float = 0.0

    def __post_init__(self) -> None:
        for key, value, most in (
            ("holdout", self.holdout, 1.0),
            ("weight", self.weight, float("inf")),
        ):
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise ConfigError(
                    f"training: data {self.name}: {key} is {value!r}, expected 0..{most:g}"
                )


@dataclass(frozen=True)
class ObjectRecord:
    """One annotated object.

    Attributes:
        label: names it in messages, by its id in the file.
        box_xyxy: pixels of the annotated image, clipped to it.
        counts: COCO's compressed run lengths of the mask over the whole image.
        is_crowd: a region of many objects; used only to leave priors out of training.
    """

    label: str
    class_id: int
    box_xyxy: tuple[float, float, float, float]
    counts: str
    is_crowd: bool


@dataclass(frozen=True)
class ImageRecord:
    """One image and its objects.

    Attributes:
        objects: of the network's classes; crowds included.
        labelled: per class of the network, whether its objects are labelled in this image.
    """

    source: str
    image_id: Id
    path: Path
    width_px: int
    height_px: int
    objects: tuple[ObjectRecord, ...]
    labelled: tuple[bool, ...]


def read_source(
    source: DataSource, class_names: Sequence[str]
) -> tuple[list[ImageRecord], Defects]:
    """Read one annotation file; defective entries are left out and counted.

    Annotations of other categories than ``class_names`` count as background. Image files are only
    looked for here; :mod:`yolact_ros.training.check` decodes them.

    Returns:
        Records of the images that can be used, also those without objects, and what was wrong.

    Raises:
        DataError: the file cannot be read as COCO instances, or ``labels_only`` names a class
            that neither the file nor the network knows.
    """
    data = read_coco_file(source.annotations, source.images, needs_masks=True)
    defects = Defects()
    defects.merge(data.defects, source.name)
    class_of_category = _map_categories(source, data.categories, class_names, defects)
    labelled = _labelled_classes(source, class_names)
    images = _usable_images(source, data.images, defects)
    objects_of_image: dict[Id, list[ObjectRecord]] = {}
    for annotation in data.annotations:
        class_id = class_of_category.get(annotation.category_id)
        if class_id is None or not labelled[class_id]:
            continue
        image = images.get(annotation.image_id)
        if image is None:
            defects.add(
                "object of an image that was left out", f"{source.name} {annotation.label}"
            )
            continue
        record = _read_object(source, annotation, class_id, image, defects)
        if record is not None:
            objects_of_image.setdefault(image.id, []).append(record)
    records = [
        ImageRecord(
            source=source.name,
            image_id=image.id,
            path=path,
            width_px=image.width_px,
            height_px=image.height_px,
            objects=tuple(objects_of_image.get(image.id, ())),
            labelled=labelled,
        )
        for image in images.values()
        if (path := image.path) is not None
    ]
    return records, defects


def category_names(sources: Sequence[DataSource]) -> tuple[str, ...]:
    """Names of all categories of the sources, in order of their first appearance."""
    names: dict[str, None] = {}
    for source in sources:
        for category in read_categories(source.annotations):
            if not source.labels_only or category.name in source.labels_only:
                names.setdefault(category.name)
    return tuple(names)


def is_held_out(record: ImageRecord, holdout: float) -> bool:
    """Whether an image belongs to the held-out share of its source."""
    return zlib.crc32(str(record.image_id).encode()) % HASH_BUCKETS < holdout * HASH_BUCKETS


def _map_categories(
    source: DataSource,
    categories: Sequence[CocoCategory],
    class_names: Sequence[str],
    defects: Defects,
) -> dict[Id, int]:
    index_of_name = {name: index for index, name in enumerate(class_names)}
    found = {c.id: index_of_name[c.name] for c in categories if c.name in index_of_name}
    expected = source.labels_only or tuple(class_names)
    present = {category.name for category in categories}
    for name in expected:
        if name not in present:
            defects.add("class that the file has no category for", f"{source.name}: {name!r}")
    if not found:
        raise DataError(
            f"data set {source.name}: none of the classes {list(class_names)} is a category of "
            f"{source.annotations}, which has {sorted(present)}; name the classes as the file does"
        )
    return found


def _labelled_classes(source: DataSource, class_names: Sequence[str]) -> tuple[bool, ...]:
    if not source.labels_only:
        return (True,) * len(class_names)
    known = set(source.labels_only) & set(class_names)
    if not known:
        raise DataError(
            f"data set {source.name}: labels_only {list(source.labels_only)} names none of the "
            f"classes {list(class_names)}"
        )
    return tuple(name in known for name in class_names)


def _usable_images(
    source: DataSource, entries: Sequence[CocoImage], defects: Defects
) -> dict[Id, CocoImage]:
    images: dict[Id, CocoImage] = {}
    paths: dict[Path, Id] = {}
    for entry in entries:
        label = f"{source.name} {entry.file_name or entry.id}"
        if entry.path is None:
            defects.add(
                "missing image file" if entry.file_name else "image without file_name", label
            )
            continue
        if entry.path in paths:
            ids = f"as {paths[entry.path]} and {entry.id}"
            defects.mend("image file that is listed under several ids", f"{label}: {ids}")
        paths[entry.path] = entry.id
        images[entry.id] = entry
    return images


def _read_object(
    source: DataSource,
    annotation: CocoAnnotation,
    class_id: int,
    image: CocoImage,
    defects: Defects,
) -> ObjectRecord | None:
    assert annotation.counts is not None
    label = f"{source.name} {annotation.label}"
    x, y, width, height = annotation.bbox_xywh
    outside_px = max(-x, -y, x + width - image.width_px, y + height - image.height_px)
    x2, y2 = min(x + width, float(image.width_px)), min(y + height, float(image.height_px))
    x, y = max(x, 0.0), max(y, 0.0)
    if x2 - x <= 0 or y2 - y <= 0:
        defects.add("box without area inside the image", f"{label}: {list(annotation.bbox_xywh)}")
        return None
    if outside_px > BOX_TOLERANCE_PX:
        defects.mend("box outside the image, clipped", f"{label}: {list(annotation.bbox_xywh)}")
    return ObjectRecord(
        label=label,
        class_id=class_id,
        box_xyxy=(x, y, x2, y2),
        counts=annotation.counts,
        is_crowd=annotation.is_crowd,
    )
