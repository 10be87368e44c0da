"""A thread that works on the newest waiting item and survives what goes wrong with one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic

from yolact_ros.inference.slots import FrameSlots, Item, Key, TakenItem

__all__ = ["SlotWorker"]

WAIT_S = 0.5


class SlotWorker(Generic[Key, Item]):
    """Owns slots and the thread that empties them.

    Args:
        handle: called with every item, in the thread.
        failed: called with what ``handle`` raised, in the thread; the thread goes on.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[TakenItem[Key, Item]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.slots: FrameSlots[Key, Item] = FrameSlots()
        self._handle = handle
        self._failed = failed
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is in hand nor waiting; False if that took too long.

        For other threads: work that begins now does not compete with this worker's.
        """
        return self._idle.wait(max(timeout_s, 0.0))

    def stop(self) -> list[TakenItem[Key, Item]]:
        """Finish the item in hand and end the thread; what was still waiting."""
        self._stopping.set()
        left = self.slots.close()
        if self._thread.is_alive():
            self._thread.join()
        return left

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not len(self.slots):
                self._idle.set()
            taken = self.slots.take(WAIT_S)
            if taken is None:
                continue
            self._idle.clear()
            try:
                self._handle(taken)
            except Exception as error:  # one bad frame must not stop the node
                if not self._stopping.is_set():
                    self._failed(error)
        self._idle.set()
