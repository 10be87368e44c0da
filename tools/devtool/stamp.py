"""Memory of which set-up steps are done, and which one was cut short."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stamp", "fingerprint"]


def fingerprint(*parts: object, files: Iterable[Path] = ()) -> str:
    """Hash of `parts` and of the names and contents of `files` (missing ones count as such)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\n")
    for path in files:
        digest.update(path.name.encode() + b"\n")
        digest.update(path.read_bytes() if path.is_file() else b"missing")
    return digest.hexdigest()


@dataclass(frozen=True)
class Stamp:
    """The record of one step: `<name>.done` holds the fingerprint it was done for.

    `<name>.started` exists while the step runs and stays behind when it is cut short.
    """

    folder: Path
    name: str

    @property
    def _done(self) -> Path:
        return self.folder / f"{self.name}.done"

    @property
    def _started(self) -> Path:
        return self.folder / f"{self.name}.started"

    def matches(self, wanted: str) -> bool:
        """True where the step was finished for this fingerprint."""
        try:
            return self._done.read_text() == wanted
        except OSError:
            return False

    def was_cut_short(self) -> bool:
        """True where an earlier run began the step and did not finish it."""
        return self._started.exists()

    def was_begun(self) -> bool:
        """True where the step was finished for any fingerprint, or cut short."""
        return self._done.exists() or self._started.exists()

    def begin(self) -> None:
        """Record that the step is under way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._started.touch()
        self._done.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Record that the step failed without leaving anything half done."""
        self._started.unlink(missing_ok=True)

    def finish(self, done_for: str) -> None:
        """Record that the step is done; atomic, so a full disk never leaves half a stamp."""
        partial = self._done.with_suffix(".partial")
        partial.write_text(done_for)
        os.replace(partial, self._done)
        self._started.unlink(missing_ok=True)
