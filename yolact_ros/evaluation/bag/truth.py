"""Known instances of a bag's frames, from a COCO file or a topic; kept on disk, read by frame."""

from __future__ import annotations

import bisect
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from yolact_ros.errors import DataError

__all__ = ["Truth", "TruthFrame"]

STAMP_TOLERANCE_NS = 1000  # a stamp written as float64 seconds is this coarse

TruthFrame = Mapping[str, Any]
"""``height``, ``width`` and ``annotations``: COCO annotations without ids, masks as RLE."""


class Truth:
    """Annotations by frame.

    Args:
        key: frames are found by ``stamp`` (nanoseconds) or by ``index`` (position on the topic).
        categories: COCO categories, ``id`` and ``name``.
        frames: key and annotations of each frame; consumed at once, to disk.

    Attributes:
        key: as given.
        categories: as given.
        has_masks: every annotation has a mask.
        duplicates: keys that came more than once; the first counts.

    Raises:
        DataError: no frame, or no category.
    """

    def __init__(
        self,
        key: str,
        categories: Sequence[Mapping[str, Any]],
        frames: Iterable[tuple[int, TruthFrame]],
    ) -> None:
        self.key = key
        self.has_masks = True
        self.duplicates: list[int] = []
        # The file lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="yolact_truth_")  # noqa: SIM115
        self._offsets: dict[int, int] = {}
        self._used: set[int] = set()
        for frame_key, frame in frames:
            if frame_key in self._offsets:
                self.duplicates.append(frame_key)
                continue
            if any("segmentation" not in row for row in frame["annotations"]):
                self.has_masks = False
            self._offsets[frame_key] = self._file.tell()
            self._file.write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")
        self._sorted = sorted(self._offsets)
        # A topic's categories are known only after its last message.
        self.categories = [dict(category) for category in categories]
        if not self._offsets:
            raise DataError("the truth has no frame")
        if not self.categories:
            raise DataError("the truth has no category")

    def of_frame(self, index: int, stamp_ns: int) -> TruthFrame | None:
        """Annotations of a frame; None where it was not annotated."""
        key = index if self.key == "index" else self._nearest_stamp(stamp_ns)
        if key is None or key not in self._offsets:
            return None
        self._used.add(key)
        self._file.seek(self._offsets[key])
        frame: TruthFrame = json.loads(self._file.readline())
        return frame

    def _nearest_stamp(self, stamp_ns: int) -> int | None:
        if stamp_ns in self._offsets:
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
        return len(self._offsets)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
