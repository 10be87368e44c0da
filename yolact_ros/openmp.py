"""How the threads of torch's operations wait for each other."""

from __future__ import annotations

import os

__all__ = ["wait_passively"]


def wait_passively() -> None:
    """Let waiting threads sleep instead of spin; a user's ``OMP_WAIT_POLICY`` stays.

    For programs, to be called before torch is imported: libgomp reads the variable when it is
    loaded. By default its threads spin at the end of every layer, so where other programs want
    the cores too, each waits for one that has none: a frame of the light network at 320 px took
    2.0 to 3.6 s on two cores with ten other busy processes, and 0.09 to 0.1 s with this.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
