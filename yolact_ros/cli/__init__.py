"""The ``yolact`` command: one file a subcommand."""

from __future__ import annotations

from yolact_ros.openmp import wait_briefly

__all__: list[str] = []

wait_briefly()
