"""The ``yolact`` command: one file a subcommand."""

from __future__ import annotations

__all__: list[str] = []
