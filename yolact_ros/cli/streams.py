"""Standard input, output and error as they are after `>&-`, in a pipe or with LANG=C."""

from __future__ import annotations

import os
import sys

__all__ = ["open_streams"]

_NAMES = ("stdin", "stdout", "stderr")


def open_streams() -> None:
    """Make all three usable: closed ones lead to /dev/null, and any text can be printed.

    While one is closed, the next file that is opened takes its place and would be written to by
    whoever prints. A path may hold bytes or letters that the locale does not have.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        # Whoever calls main() from Python may have put something else in their place.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
