"""The ``yolact`` command: one file a subcommand."""

from __future__ import annotations

from yolact_ros.openmp import wait_passively

__all__: list[str] = []

wait_passively()
