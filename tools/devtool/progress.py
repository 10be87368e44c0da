"""One line for each set-up step, and the output of its programs in a log file."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["StepLine", "run_logged"]

_TICK_S = 0.5


class StepLine:
    """`[2/6] torch 2.13.0 ... 21 s`; on a terminal the line is alive while the step runs.

    Written to stderr: the output of `./dev run` must stay the command's own.
    """

    def __init__(self, number: int, total: int, title: str) -> None:
        self._head = f"[{number}/{total}] {title}"
        self._begin_s = time.monotonic()
        self._live = sys.stderr.isatty()
        self._write(f"{self._head} ...")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def elapsed_s(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._begin_s

    def tick(self, detail: str = "") -> None:
        """Show that the step is alive, and on what it works."""
        if self._live:
            shown = "" if detail.startswith("$ ") else detail.strip()
            line = f"{self._head} ... {self.elapsed_s():.0f} s  {shown}"
            # A line that wraps could not be taken back.
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{line[:width]}")

    def done(self, note: str = "") -> None:
        """End the line with the time taken."""
        self._end(f"{self.elapsed_s():.0f} s{f'  ({note})' if note else ''}")

    def failed(self) -> None:
        """End the line; the error follows on the next."""
        self._end("failed")

    def _end(self, text: str) -> None:
        start = f"\r\x1b[K{self._head} ..." if self._live else ""
        self._write(f"{start} {text}\n")


def run_logged(
    command: Sequence[str], log: Path, env: Mapping[str, str], line: StepLine | None = None
) -> tuple[int, str]:
    """Run `command`, append its output to `log`; returns the exit status and that output.

    The child has its own process group, which is ended with it on Ctrl-C: pip starts
    helpers that would go on writing. It inherits what was made inheritable (the set-up lock).
    Raises OSError where the command cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        begin = sink.tell()
        child = subprocess.Popen(
            list(command),
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(env),
            start_new_session=True,
            close_fds=False,
        )
        try:
            while True:
                try:
                    status = child.wait(_TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    if line is not None:
                        line.tick(_last_line(log))
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise
    with log.open("rb") as source:
        source.seek(begin)
        output = source.read().decode(errors="replace")
    if "No space left on device" in output:
        raise OSError(errno.ENOSPC, "No space left on device", str(log))
    return status, output


def _last_line(log: Path) -> str:
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 400))
        lines = source.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
