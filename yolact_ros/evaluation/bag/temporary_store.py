"""Values on disk by a whole number, so that memory stays flat however many there are."""

from __future__ import annotations

import pickle
import tempfile
import threading
import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["TemporaryStore"]

Value = TypeVar("Value")


class TemporaryStore(Generic[Value]):
    """A temporary file of values; memory holds their keys and places only. Thread-safe.

    The file lives as long as this object.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="yolact_bag_")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._places: dict[int, int] = {}

    def put(self, key: int, value: Value) -> bool:
        """Keep ``value``; False, and the first one stays, if the key is taken."""
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            if key in self._places:
                return False
            self._places[key] = self._file.seek(0, 2)
            self._file.write(data)
            return True

    def get(self, key: int) -> Value:
        """The value of ``key``.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            self._file.seek(self._places[key])
            value: Value = pickle.load(self._file)  # written above, never from outside
            return value

    def __contains__(self, key: int) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[int]:
        """Keys in the order they came."""
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
