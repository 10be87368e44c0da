"""Where the work of an evaluation is done: the interface, and the processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from yolact_ros.errors import YolactError
from yolact_ros.signals import interrupts_held
from yolact_ros.workers import Workers, end_with_parent

__all__ = ["Executor", "Failure", "LocalExecutor", "attempt"]

# So that no process waits for its next work.
IN_FLIGHT_EACH = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Work that could not be done; the rest goes on.

    Attributes:
        reason: in words, since not every error can go from process to process.
    """

    reason: str


class Executor(Protocol):
    """Does work in some processes, somewhere. Use as a context manager.

    Attributes:
        device: that the network runs on; empty takes that of its source.
    """

    device: str

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        uses_network: bool = False,
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """What ``function`` makes of each item, as it comes.

        Args:
            function: can be pickled, unless :meth:`runs_here`.
            items: taken one by one, few more than are worked on.
            uses_network: a GPU is of use.

        Raises:
            WorkerError: the work cannot go on.
        """

    def runs_here(self, num_items: int) -> bool:
        """So many items are worked on in this very process."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *error: Any) -> None: ...


def attempt(function: Callable[[Item], Result], item: Item) -> Result | Failure:
    """The result, or in words what went wrong."""
    try:
        return function(item)
    except YolactError as error:
        return Failure(str(error))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")


class LocalExecutor:
    """Processes of this machine; with one job this process itself.

    Raises:
        WorkerError: at the end of the block: a process died.
    """

    def __init__(self, jobs: int) -> None:
        self.device = ""
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()

    def runs_here(self, num_items: int) -> bool:
        """As :class:`Executor` has it."""
        return self._jobs == 1 or num_items < 2

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        uses_network: bool = False,
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """As :class:`Executor` has it; in this process only a YolactError becomes a failure."""
        source = iter(items)
        first = list(islice(source, 2))
        if self.runs_here(len(first)):
            for item in chain(first, source):
                try:
                    yield item, function(item)
                except YolactError as error:
                    yield item, Failure(str(error))
            return
        pool = self._started_pool()
        source = chain(first, source)
        running: dict[Future[Result | Failure], Item] = {}
        while True:
            for item in islice(source, IN_FLIGHT_EACH * self._jobs - len(running)):
                running[pool.submit(attempt, function, item)] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()

    def _started_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # A forked process would share the locks of torch's threads.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(self._jobs, context, end_with_parent)
            cure = "what is done is kept, run the command again with fewer --jobs"
            self._pool = self._stack.enter_context(pool)
            workers = self._stack.enter_context(Workers("evaluates bags", cure))
            with workers.starting():
                for _ in range(self._jobs):
                    pool.submit(int)
        return self._pool

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *error: Any) -> None:
        with interrupts_held():
            self._stack.__exit__(*error)
