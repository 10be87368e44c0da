"""What torch's compiler prints of its own accord, led to the log."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

__all__ = ["compiler_output_in_log", "ignore_compiler_warnings"]

_logger = logging.getLogger(__name__)
# Two threads would put back each other's stderr.
_one_redirection = threading.Lock()


def ignore_compiler_warnings() -> None:
    """They are of parts of torch that are old, and of TF32.

    Matrix products of fp32 stay without it on purpose.
    """
    warnings.filterwarnings("ignore", module=r"torch\._inductor\.")


@contextmanager
def compiler_output_in_log() -> Iterator[None]:
    """While it compiles, what this thread prints to stderr goes to the log, at level debug.

    The compiler prints hundreds of lines of measured kernels. What fails is raised.
    """
    ignore_compiler_warnings()
    with _one_redirection, redirect_stderr(_OwnThreadInLog(sys.stderr)):
        yield


class _OwnThreadInLog(io.TextIOBase):
    """Text of the thread that made it goes to the log, that of others where it went before."""

    def __init__(self, before: TextIO) -> None:
        self._before = before
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self._before.write(text)
        for line in text.splitlines():
            _logger.debug("%s", line)
        return len(text)

    def flush(self) -> None:
        self._before.flush()
