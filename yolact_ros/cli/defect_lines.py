"""What was wrong with a data file, for a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from yolact_ros.datasets.defects import Defects

__all__ = ["print_defects"]


def print_defects(path: Path, defects: Defects) -> None:
    """Print on stderr what was left out or mended of a file, one line a kind."""
    if defects:
        print(f"{path}: left out or mended:\n{defects.report()}", file=sys.stderr)
