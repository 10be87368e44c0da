"""Reads COCO annotation files of any tool: no traceback, and nothing is lost unsaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from yolact_ros.datasets.categories import normal_name
from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.geometry import read_geometry
from yolact_ros.datasets.image_folder import ImageFolder, image_size, portable_name
from yolact_ros.datasets.json_file import read_json
from yolact_ros.datasets.values import Id, flag, identity, number, text_of, whole_number
from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import mask_box_xywh

__all__ = ["parse_coco", "read_categories", "read_coco_file"]

FRAME_KEYS = ("stamp_ns", "stamp", "frame_index", "index")
# OpenCV reads no larger images, and runs of more pixels do not fit an int32.
MAX_SIDE_PX = 1 << 20
MAX_PIXELS = 1 << 30

Row = Mapping[str, Any]
Record = TypeVar("Record", CocoImage, CocoCategory)


@dataclass(frozen=True)
class _Listed(Generic[Record]):
    """Images or categories that can be used, and the ids that several of them claim."""

    records: list[Record]
    shared_ids: set[Id]


def read_coco_file(
    path: Path, images: Path | None = None, *, needs_masks: bool = False
) -> CocoData:
    """Read a COCO annotation file.

    Args:
        images: folder that its file names are relative to: images are looked for there, and tell
            their size where the file does not.
        needs_masks: leave out objects that have only a box.

    Raises:
        DataError: not readable, not JSON, or without images, annotations and categories.
        DependencyError: pycocotools, which draws polygons, is not installed.
    """
    content = read_json(path)
    try:
        return parse_coco(content, images, needs_masks=needs_masks)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_categories(path: Path) -> tuple[CocoCategory, ...]:
    """The classes of a COCO annotation file, without reading its masks.

    Raises as :func:`read_coco_file`.
    """
    content = read_json(path)
    try:
        _check(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return tuple(_categories(content, Defects()).records)


def parse_coco(content: Any, images: Path | None = None, *, needs_masks: bool = False) -> CocoData:
    """A COCO annotation file from its parsed JSON.

    Args:
        content: of the file; its lists are emptied while they are read, so that a large file is
            not in memory twice.

    Raises:
        DataError: it has no images, annotations or categories.
    """
    _check(content)
    defects = Defects()
    if content["annotations"] is None:
        defects.mend("file whose annotations are null, read as none", "annotations")
        content["annotations"] = []
    categories = _categories(content, defects)
    listed = _images(content, images, defects)
    annotations = _Annotations(categories, listed, needs_masks, defects)
    for position, row in enumerate(_drained(content["annotations"])):
        annotations.add(position, row)
    annotations.finish()
    return CocoData(
        tuple(listed.records), tuple(annotations.records), tuple(categories.records), defects
    )


def _check(content: Any) -> None:
    for key in ("images", "annotations", "categories"):
        value = content.get(key, "") if isinstance(content, dict) else ""
        if isinstance(value, list) or (value is None and key == "annotations"):
            continue
        kind = "; a list of detections is a results file" if isinstance(content, list) else ""
        raise DataError(f"not a COCO annotation file: it has no list {key!r}{kind}")


def _drained(rows: list[Any]) -> Iterator[Any]:
    """The rows in order; each is let go before the next is read."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _categories(content: Mapping[str, Any], defects: Defects) -> _Listed[CocoCategory]:
    def read(row: Row, category_id: Id, position: int) -> CocoCategory:
        del position
        name = text_of(row.get("name"))
        if not name:
            defects.mend("category without a name, named by its id", f"category {category_id}")
        return CocoCategory(category_id, name or str(category_id))

    listed = _by_id("category", content["categories"], read, defects)
    by_name: dict[str, list[CocoCategory]] = {}
    for row in listed.records:
        by_name.setdefault(normal_name(row.name), []).append(row)
    alike = [rows for rows in by_name.values() if len(rows) > 1]
    if not alike:
        return listed
    used = {
        identity(row.get("category_id"))
        for row in content["annotations"] or ()
        if isinstance(row, dict)
    }
    unused: set[Id] = set()
    for rows in alike if used else ():
        kept = [row for row in rows if row.id in used] or rows[:1]
        for row in rows:
            if row not in kept:
                unused.add(row.id)
                defects.add(
                    "category without annotations and of the same name as another",
                    f"category {row.id} {row.name!r}, as {kept[0].id} {kept[0].name!r}",
                )
    return replace(listed, records=[row for row in listed.records if row.id not in unused])


def _images(
    content: Mapping[str, Any], folder: Path | None, defects: Defects
) -> _Listed[CocoImage]:
    images = None if folder is None else ImageFolder(folder)

    def read(row: Row, image_id: Id, position: int) -> CocoImage:
        file_name = portable_name(text_of(row.get("file_name")))
        path = None if images is None else images.find(file_name)
        height_px, width_px = whole_number(row.get("height")), whole_number(row.get("width"))
        frame = {key: row[key] for key in FRAME_KEYS if row.get(key) is not None}
        size = (height_px, width_px) if _is_size(height_px, width_px) else (0, 0)
        return CocoImage(image_id, size[0] or 0, size[1] or 0, file_name, path, frame, position)

    listed = _by_id("image", content["images"], read, defects)
    mask_sizes: dict[Id, tuple[int, int]] | None = None
    sized = []
    for image in listed.records:
        if not image.height_px:
            source, size = "its file", image_size(image.path) if image.path else None
            if size is None:
                if mask_sizes is None:
                    mask_sizes = _mask_sizes(content["annotations"])
                source, size = "its masks", mask_sizes.get(image.id)
            label = f"image {image.id} {image.file_name}"
            if size is None:
                defects.add(
                    "image of unknown size: neither it, nor its file, nor an RLE tells it", label
                )
                continue
            defects.mend(f"image without width and height, taken from {source}", label)
            image = replace(image, height_px=size[0], width_px=size[1])
        sized.append(image)
    return replace(listed, records=sized)


def _is_size(height_px: int | None, width_px: int | None) -> bool:
    if height_px is None or width_px is None:
        return False
    is_side = 1 <= height_px <= MAX_SIDE_PX and 1 <= width_px <= MAX_SIDE_PX
    return is_side and height_px * width_px <= MAX_PIXELS


def _mask_sizes(rows: list[Any]) -> dict[Id, tuple[int, int]]:
    """Height and width by image, as the first RLE of each says."""
    sizes: dict[Id, tuple[int, int]] = {}
    for row in rows:
        segmentation = row.get("segmentation") if isinstance(row, dict) else None
        size = segmentation.get("size") if isinstance(segmentation, dict) else None
        image_id = identity(row["image_id"]) if size and "image_id" in row else None
        if image_id is None or not isinstance(size, list) or len(size) != 2:
            continue
        height_px, width_px = map(whole_number, size)
        if _is_size(height_px, width_px):
            sizes.setdefault(image_id, (height_px or 0, width_px or 0))
    return sizes


def _by_id(
    noun: str, rows: list[Any], read: Callable[[Row, Id, int], Record], defects: Defects
) -> _Listed[Record]:
    """Records by their ids; different ones of the same id are all left out.

    Nobody knows which of them an annotation means.
    """
    found: dict[Id, Record] = {}
    shared: set[Id] = set()
    for position, row in enumerate(_drained(rows)):
        label = f"{noun} at position {position}"
        own_id = identity(row.get("id")) if isinstance(row, dict) else None
        if not isinstance(row, dict):
            defects.add(f"{noun} that is no JSON object", f"{label}: {row!r}")
        elif own_id is None:
            defects.add(f"{noun} without an id", f"{label}: {row!r}")
        elif own_id not in found:
            found[own_id] = read(row, own_id, position)
        elif found[own_id] == read(row, own_id, position):
            defects.add(f"{noun} listed twice", f"{noun} {own_id}")
        else:
            shared.add(own_id)
            defects.add(f"{noun} with the id of another", f"{label}: id {own_id}")
    for own_id in sorted(shared, key=str):
        del found[own_id]
        defects.add(f"{noun} with the id of another", f"{noun} {own_id}")
    return _Listed(list(found.values()), shared)


class _Annotations:
    """Gathers the annotations that can be used."""

    def __init__(
        self,
        categories: _Listed[CocoCategory],
        images: _Listed[CocoImage],
        needs_masks: bool,
        defects: Defects,
    ) -> None:
        self.records: list[CocoAnnotation] = []
        self._categories = {row.id for row in categories.records}
        self._images = {image.id: image for image in images.records}
        self._shared_categories = categories.shared_ids
        self._shared_images = images.shared_ids
        self._needs_masks = needs_masks
        self._defects = defects
        self._content_of_id: dict[Id, int] = {}
        self._without_mask: list[str] = []

    def add(self, position: int, row: Any) -> None:
        label = f"annotation at position {position}"
        if not isinstance(row, dict):
            self._defects.add("annotation that is no JSON object", f"{label}: {row!r}")
            return
        own_id = identity(row.get("id"))
        if own_id is not None:
            label = f"annotation {own_id}"
        image_id, category_id = identity(row.get("image_id")), identity(row.get("category_id"))
        if image_id is None or image_id not in self._images:
            shared = image_id in self._shared_images
            self._defects.add(
                "annotation of an image "
                + ("id that several have" if shared else "that is not listed or was left out"),
                f"{label}: image {row.get('image_id')!r}",
            )
        elif category_id is None or category_id not in self._categories:
            shared = category_id in self._shared_categories
            self._defects.add(
                "annotation of a category id that "
                + ("several have" if shared else "the file does not define"),
                f"{label}: category {row.get('category_id')!r}",
            )
        else:
            self._add_object(row, own_id, label, self._images[image_id], category_id)

    def _add_object(
        self, row: Row, own_id: Id | None, label: str, image: CocoImage, category_id: Id
    ) -> None:
        defects = self._defects
        geometry = read_geometry(row, image)
        box, counts = geometry.bbox_xywh, geometry.counts
        if box is None and counts is not None:
            box = mask_box_xywh(counts, image.height_px, image.width_px)
        if box is None or (counts is None and self._needs_masks):
            what = "mask" if self._needs_masks else "box or mask"
            defects.add(f"annotation without a usable {what}", f"{label}: {geometry.reasons}")
            return
        is_crowd = flag(row.get("iscrowd"))
        record = CocoAnnotation(
            len(self.records) + 1, own_id, image.id, category_id, box, counts,
            number(row.get("area")), bool(is_crowd),
            # TAO and BDD100K say track_id, COCO-VID (MMTracking) instance_id.
            whole_number(row.get("track_id", row.get("instance_id"))) or 0,
        )  # fmt: skip
        if self._is_repeated(record):
            defects.add("annotation listed twice", label)
            return
        geometry.count_problems("annotation", label, defects)
        if counts is None and not geometry.problems:
            self._without_mask.append(label)
        if is_crowd is None:
            kind = "annotation whose iscrowd is neither 0 nor 1, read as 0"
            defects.mend(kind, f"{label}: {row.get('iscrowd')!r}")
        self.records.append(record)

    def _is_repeated(self, record: CocoAnnotation) -> bool:
        """Whether an annotation of the same id and content came before."""
        if record.own_id is None:
            return False
        content = hash((record.image_id, record.category_id, record.bbox_xywh, record.counts))
        if record.own_id not in self._content_of_id:
            self._content_of_id[record.own_id] = content
            return False
        if self._content_of_id[record.own_id] == content:
            return True
        self._defects.mend("annotation with the id of another, renumbered", record.label)
        return False

    def finish(self) -> None:
        """Count boxes that have no mask where others have one."""
        count = len(self._without_mask)
        if 0 < count < len(self.records):
            kind = "annotation without a mask, though others have one"
            self._defects.mend(kind, self._without_mask[0], count)
