"""COCO-format annotation files read into plain records, with every defect counted."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolact_ros.errors import ConfigError, DataError

__all__ = [
    "DataSource",
    "Defects",
    "ImageRecord",
    "ObjectRecord",
    "category_names",
    "is_held_out",
    "read_source",
]

# Polygons of real data sets stick out of their image by rounding; more than this is a defect.
BOX_TOLERANCE_PX = 2.0
NUM_EXAMPLES = 3
HASH_BUCKETS = 1000


@dataclass(frozen=True)
class DataSource:
    """One COCO-format data set.

    Attributes:
        name: for reports.
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
        annotation_id: from the file.
        class_id: index in the network's class list.
        box_xyxy: pixels of the annotated image, clipped to it.
        segmentation: polygons, or a COCO RLE, compressed or not.
        is_crowd: a region of many objects; used only to leave priors out of training.
    """

    annotation_id: int
    class_id: int
    box_xyxy: tuple[float, float, float, float]
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True)
class ImageRecord:
    """One image and its objects.

    Attributes:
        source: name of its :class:`DataSource`.
        image_id: from the file.
        path: of the image file.
        width_px, height_px: as annotated.
        objects: of the network's classes; crowds included.
        labelled: per class of the network, whether its objects are labelled in this image.
    """

    source: str
    image_id: int
    path: Path
    width_px: int
    height_px: int
    objects: tuple[ObjectRecord, ...]
    labelled: tuple[bool, ...]


@dataclass
class Defects:
    """Counts and a few examples of everything wrong with the data."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Count one defect of ``kind`` and keep the first few examples."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < NUM_EXAMPLES:
            kept.append(example)

    def merge(self, other: Defects) -> None:
        """Add another collection to this one."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            kept = self.examples.setdefault(kind, [])
            kept.extend(other.examples[kind][: NUM_EXAMPLES - len(kept)])

    def __bool__(self) -> bool:
        return bool(self.counts)

    def report(self) -> str:
        """One line a kind, most frequent first; empty when nothing is wrong."""
        lines = []
        for kind, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            lines.append(f"{count:6d}  {kind}; e.g. {'; '.join(self.examples[kind])}")
        return "\n".join(lines)


def read_source(
    source: DataSource, class_names: Sequence[str]
) -> tuple[list[ImageRecord], Defects]:
    """Read one annotation file; defective entries are left out and counted.

    Args:
        source: where the data are.
        class_names: the network's classes; annotations of other categories count as background.

    Returns:
        Records of the images that can be used, also those without objects, and what was wrong.
        Image files are only looked for here; :mod:`yolact_ros.training.check` decodes them.

    Raises:
        DataError: the file cannot be read as COCO instances, or ``labels_only`` names a class
            that neither the file nor the network knows.
    """
    content = _load_json(source)
    defects = Defects()
    class_of_category = _map_categories(source, content["categories"], class_names, defects)
    labelled = _labelled_classes(source, class_names)
    objects_of_image: dict[int, list[ObjectRecord]] = {}
    images = _index_images(source, content["images"], defects)
    known_categories = {category["id"] for category in content["categories"]}
    seen_annotations: set[int] = set()
    for annotation in content["annotations"]:
        label = f"{source.name} annotation {annotation.get('id')}"
        if annotation.get("id") in seen_annotations:
            defects.add("duplicate annotation id", label)
            continue
        seen_annotations.add(annotation.get("id"))
        image = images.get(annotation.get("image_id"))
        if image is None:
            defects.add("annotation of an image that is not listed or not there", label)
            continue
        if annotation.get("category_id") not in known_categories:
            defects.add(
                "category id that the file does not define",
                f"{label}: {annotation.get('category_id')}",
            )
            continue
        class_id = class_of_category.get(annotation["category_id"])
        if class_id is None or not labelled[class_id]:
            continue
        record = _read_object(annotation, class_id, image, label, defects)
        if record is not None:
            objects_of_image.setdefault(image["id"], []).append(record)
    records = [
        ImageRecord(
            source=source.name,
            image_id=image_id,
            path=source.images / image["file_name"],
            width_px=int(image["width"]),
            height_px=int(image["height"]),
            objects=tuple(objects_of_image.get(image_id, ())),
            labelled=labelled,
        )
        for image_id, image in images.items()
    ]
    return records, defects


def category_names(sources: Sequence[DataSource]) -> tuple[str, ...]:
    """Names of all categories of the sources, in order of their first appearance.

    Raises:
        DataError: an annotation file cannot be read as COCO instances.
    """
    names: dict[str, None] = {}
    for source in sources:
        for category in _load_json(source)["categories"]:
            if not source.labels_only or category["name"] in source.labels_only:
                names.setdefault(str(category["name"]))
    return tuple(names)


def is_held_out(record: ImageRecord, holdout: float) -> bool:
    """Whether an image belongs to the held-out share of its source."""
    return zlib.crc32(str(record.image_id).encode()) % HASH_BUCKETS < holdout * HASH_BUCKETS


def _load_json(source: DataSource) -> dict[str, Any]:
    try:
        content = json.loads(source.annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"data set {source.name}: cannot read {source.annotations}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise DataError(
            f"data set {source.name}: {source.annotations} is not JSON: {error}"
        ) from error
    missing = [
        key
        for key in ("images", "annotations", "categories")
        if not isinstance(content, dict) or key not in content
    ]
    if missing:
        raise DataError(
            f"data set {source.name}: {source.annotations} has no {missing}; expected a COCO "
            "instances file with images, annotations and categories"
        )
    return dict(content)


def _map_categories(
    source: DataSource,
    categories: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    defects: Defects,
) -> dict[int, int]:
    index_of_name = {name: index for index, name in enumerate(class_names)}
    found = {c["id"]: index_of_name[c["name"]] for c in categories if c["name"] in index_of_name}
    expected = source.labels_only or tuple(class_names)
    present = {category["name"] for category in categories}
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


def _index_images(
    source: DataSource, entries: Sequence[Mapping[str, Any]], defects: Defects
) -> dict[int, Mapping[str, Any]]:
    images: dict[int, Mapping[str, Any]] = {}
    for entry in entries:
        label = f"{source.name} {entry.get('file_name')}"
        if not {"id", "file_name", "width", "height"} <= set(entry):
            defects.add("image entry without id, file_name, width or height", label)
        elif entry["id"] in images:
            defects.add("duplicate image id", f"{label}: {entry['id']}")
        elif not (source.images / entry["file_name"]).is_file():
            defects.add("missing image file", label)
        elif entry["width"] < 1 or entry["height"] < 1:
            defects.add("image size below one pixel", label)
        else:
            images[entry["id"]] = entry
    return images


def _read_object(
    annotation: Mapping[str, Any],
    class_id: int,
    image: Mapping[str, Any],
    label: str,
    defects: Defects,
) -> ObjectRecord | None:
    box = annotation.get("bbox")
    segmentation = annotation.get("segmentation")
    if not segmentation or (
        isinstance(segmentation, list) and not any(len(ring) >= 6 for ring in segmentation)
    ):
        defects.add("empty mask", label)
        return None
    if box is None or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        defects.add("box that is not four numbers", label)
        return None
    x, y, width, height = (float(value) for value in box)
    image_width, image_height = float(image["width"]), float(image["height"])
    outside_px = max(-x, -y, x + width - image_width, y + height - image_height)
    x2, y2 = min(x + width, image_width), min(y + height, image_height)
    x, y = max(x, 0.0), max(y, 0.0)
    if x2 - x <= 0 or y2 - y <= 0:
        defects.add("box without area inside the image", f"{label}: {box}")
        return None
    if outside_px > BOX_TOLERANCE_PX:
        defects.add("box outside the image, clipped", f"{label}: {box}")
    return ObjectRecord(
        annotation_id=int(annotation.get("id", 0)),
        class_id=class_id,
        box_xyxy=(x, y, x2, y2),
        segmentation=segmentation,
        is_crowd=bool(annotation.get("iscrowd", 0)),
    )
