"""``python -m yolact_ros.cli``: the ``yolact`` command without its entry point."""

from __future__ import annotations

import sys

from yolact_ros.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
