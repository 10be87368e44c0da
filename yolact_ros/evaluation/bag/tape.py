"""Results of a replay, put aside quickly while it runs and turned into records afterwards.

Encoding masks for the records takes longer than the network may have: in the worker it would
make every frame late, in another thread it would be a load that a robot does not have.
"""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from yolact_ros.evaluation.bag.frame import FrameRecord
from yolact_ros.evaluation.bag.segmenter import found_instances
from yolact_ros.prediction import Prediction

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Tape"]


class Tape:
    """A temporary file of records without instances and the predictions they belong to."""

    def __init__(self) -> None:
        # The file lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="yolact_tape_")  # noqa: SIM115
        self._lock = threading.Lock()
        self._places: dict[int, int] = {}

    def put(self, record: FrameRecord, prediction: Prediction | None = None) -> None:
        """Keep one frame's result. Thread-safe."""
        data = pickle.dumps((record, prediction), protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._places[record.index] = self._file.tell()
            self._file.write(data)

    def __len__(self) -> int:
        with self._lock:
            return len(self._places)

    def records(self, class_names: Sequence[str]) -> Iterator[FrameRecord]:
        """The records with their instances, by index; nothing may be put meanwhile."""
        for index in sorted(self._places):
            self._file.seek(self._places[index])
            record, prediction = pickle.load(self._file)  # written above, never from outside
            if prediction is not None:
                record = replace(record, instances=found_instances(prediction, class_names))
            yield record

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
