"""JSON values on disk by a whole number, so that memory stays flat however many there are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Spool"]


class Spool:
    """A temporary file of values; memory holds their keys and places only."""

    def __init__(self) -> None:
        # The file lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="yolact_spool_")  # noqa: SIM115
        self._places: dict[int, int] = {}

    def put(self, key: int, value: Any) -> bool:
        """Keep ``value``; False, and the first one stays, if the key is taken."""
        if key in self._places:
            return False
        self._places[key] = self._file.seek(0, 2)
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        return True

    def get(self, key: int) -> Any:
        """The value of ``key``.

        Raises:
            KeyError: there is none.
        """
        self._file.seek(self._places[key])
        return json.loads(self._file.readline())

    def __contains__(self, key: int) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[int]:
        """Keys in the order they came."""
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
