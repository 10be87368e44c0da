"""Brings a checkout up to date: does the steps whose inputs changed, one process at a time."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtool import machine
from devtool.problem import SetupProblem
from devtool.progress import StepLine
from devtool.steps import Step, Steps

__all__ = ["bring_up_to_date", "locked"]


def bring_up_to_date(steps: Steps, *, force: frozenset[str] = frozenset()) -> None:
    """Do every step that is not done for its present inputs, and those named in `force`.

    Raises SetupProblem with the cure; what was done until then stays done.
    """
    if not _pending(steps, force):
        return
    with locked(steps.layout.lock):
        # Another process may have done them while this one waited.
        pending = _pending(steps, force)
        if not pending:
            return
        machine.check_python()
        machine.check_compiler(steps.environ)
        machine.check_free_space(steps.layout.root, sum(step.needs_mb for step in pending))
        print(
            f"Setting up {steps.layout.root} with {steps.ros}, Python "
            f"{sys.version_info.major}.{sys.version_info.minor}; logs: {steps.layout.logs}",
            file=sys.stderr,
        )
        total = len(pending)
        for number, step in enumerate(pending, 1):
            _do(steps, step, StepLine(number, total, step.title))


def _pending(steps: Steps, force: frozenset[str]) -> list[Step]:
    every = steps.all()
    if not steps.stamp(every[0]).matches(every[0].fingerprint) or not steps.layout.python.exists():
        return every
    return [
        step
        for step in every
        if step.name in force or not steps.stamp(step).matches(step.fingerprint)
    ]


def _do(steps: Steps, step: Step, line: StepLine) -> None:
    stamp = steps.stamp(step)
    redo = stamp.was_cut_short()
    try:
        if step.name != "venv":
            stamp.begin()
        (steps.layout.logs / f"{step.name}.log").unlink(missing_ok=True)
        note = step.run(line, redo)
        stamp.finish(step.fingerprint)
    except SetupProblem:
        # pip and colcon ended by themselves, and pip takes a failed installation back.
        if not redo:
            stamp.give_up()
        line.failed()
        raise
    except BaseException:
        line.failed()
        raise
    line.done(note or ("repaired an unfinished set-up" if redo else ""))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the checkout's set-up lock; says whom it waits for.

    The kernel frees the lock when its last holder dies, so a killed set-up never blocks the
    next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            print(
                f"Waiting for another ./dev that sets up this checkout (process {holder}) ...",
                file=sys.stderr,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise SetupProblem(
                f"{path} cannot be locked: {error.strerror}.",
                "clone to a local disk: this file system has no locks.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        # pip and colcon inherit the lock: where this process is killed and they live on, the
        # next set-up waits for them.
        os.set_inheritable(file.fileno(), True)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
