"""Progress of the bag commands: a bar with the time left, on stderr."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqdm import tqdm

__all__ = ["ProgressBars"]


class ProgressBars:
    """One bar at a time; a new one ends the one before. Nothing is shown where nobody looks."""

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        """Show a bar for ``total`` frames; the result is told of frames done."""
        self.close()
        self._bar = tqdm(desc=title, total=total, unit="frame", disable=None, leave=False)
        return self._advance

    def _advance(self, count: int) -> None:
        self._bar.update(count)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
