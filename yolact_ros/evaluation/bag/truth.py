"""Known instances of a bag's frames, from a COCO file or a topic; kept on disk, read by frame."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from yolact_ros.datasets.categories import match_categories
from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.spool import Spool

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Truth", "TruthFrame"]

STAMP_TOLERANCE_NS = 1000  # a stamp written as float64 seconds is this coarse

TruthFrame = Mapping[str, Any]
"""``height``, ``width`` and ``annotations``: COCO annotations without ids, masks as RLE."""


class Truth:
    """Annotations by frame.

    Args:
        key: frames are found by ``stamp`` (nanoseconds) or by ``index`` (position on the topic).
        categories: numbered by whole numbers.
        frames: key and annotations of each frame; consumed at once, to disk.

    Attributes:
        key: as given.
        categories: as given.
        has_masks: an annotation has a mask, or there is none.
        defects: what was left out or mended while reading.
        duplicates: keys that came more than once; the first counts.

    Raises:
        DataError: no frame, or no category.
    """

    def __init__(
        self,
        key: str,
        categories: Sequence[CocoCategory],
        frames: Iterable[tuple[int, TruthFrame]],
        defects: Defects | None = None,
    ) -> None:
        self.key = key
        self.defects = defects or Defects()
        with_mask = without_mask = 0
        self.duplicates: list[int] = []
        self._frames = Spool()
        self._used: set[int] = set()
        for frame_key, frame in frames:
            if not self._frames.put(frame_key, frame):
                self.duplicates.append(frame_key)
                continue
            for row in frame["annotations"]:
                with_mask += "segmentation" in row
                without_mask += "segmentation" not in row
        self.has_masks = with_mask > 0 or without_mask == 0
        self._sorted = sorted(self._frames)
        # A topic's categories are known only after its last message.
        self.categories = list(categories)
        if not self._frames:
            raise DataError("the truth has no frame")
        if not self.categories:
            raise DataError("the truth has no category")

    def of_frame(self, index: int, stamp_ns: int) -> TruthFrame | None:
        """Annotations of a frame; None where it was not annotated."""
        key = index if self.key == "index" else self._nearest_stamp(stamp_ns)
        if key is None or key not in self._frames:
            return None
        self._used.add(key)
        frame = self._frames.get(key)
        kept = {row.id for row in self.categories}
        rows = [row for row in frame["annotations"] if row["category_id"] in kept]
        return {**frame, "annotations": rows}

    def keep_classes(self, class_names: Sequence[str]) -> None:
        """Forget the categories of other names.

        Raises:
            DataError: a name that the truth does not have.
        """
        there = sorted({row.name for row in self.categories})
        unknown = [name for name in class_names if name not in there]
        if unknown:
            raise DataError(f"the truth has no class {unknown[0]!r}; it has {', '.join(there)}")
        self.categories = [row for row in self.categories if row.name in class_names]

    def keep_known_classes(self, model_class_names: Sequence[str]) -> list[str]:
        """Forget the categories that a model does not know, and return their names.

        Raises:
            DataError: the model knows none of them.
        """
        known = set(match_categories(model_class_names, self.categories))
        forgotten = [row.name for row in self.categories if row.id not in known]
        self.categories = [row for row in self.categories if row.id in known]
        return forgotten

    def _nearest_stamp(self, stamp_ns: int) -> int | None:
        if stamp_ns in self._frames:
            return stamp_ns
        place = bisect.bisect_left(self._sorted, stamp_ns)
        for candidate in self._sorted[max(place - 1, 0) : place + 1]:
            if abs(candidate - stamp_ns) <= STAMP_TOLERANCE_NS:
                return candidate
        return None

    @property
    def unused(self) -> list[int]:
        """Keys that no frame asked for so far, in order."""
        return [key for key in self._sorted if key not in self._used]

    def __len__(self) -> int:
        return len(self._frames)

    def close(self) -> None:
        """Remove the file."""
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
