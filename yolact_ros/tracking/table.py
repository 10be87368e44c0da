"""Rows of several arrays at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Rows", "Table"]

Rows = NDArray[np.int64] | NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """A dataclass whose fields are arrays with a row for each object, or such tables."""

    def take(self, rows: Rows) -> Self:
        """Some of the rows."""
        values = (getattr(self, field.name) for field in fields(self))
        return type(self)(
            *(value.take(rows) if isinstance(value, Table) else value[rows] for value in values)
        )

    def put(self, rows: Rows, other: Self) -> Self:
        """A copy with the other's rows in place of some."""
        copies = []
        for field in fields(self):
            value, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(value, Table):
                value = value.put(rows, theirs)
            else:
                value = value.copy()
                value[rows] = theirs
            copies.append(value)
        return type(self)(*copies)

    def join(self, other: Self) -> Self:
        """These rows and then the other's."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return type(self)(
            *(
                ours.join(theirs) if isinstance(ours, Table) else np.concatenate((ours, theirs))
                for ours, theirs in pairs
            )
        )
