"""The newest frame of every camera, waiting for the worker."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FrameSlots", "TakenItem"]

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True)
class TakenItem(Generic[Key, Item]):
    """What :meth:`FrameSlots.take` hands out.

    Attributes:
        replaced: older items of the same key that it replaced while it waited.
    """

    key: Key
    item: Item
    replaced: int


@dataclass
class _Waiting(Generic[Item]):
    item: Item
    deadline: float
    replaced: int = 0


class FrameSlots(Generic[Key, Item]):
    """One waiting item a key; a newer item replaces it. Thread-safe.

    A queue would hand out frames that are as old as the queue is long: with 100 ms of work on a
    60 Hz camera the frame is 160 ms old after a queue of ten and 5 ms after this.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: dict[Key, _Waiting[Item]] = {}
        self._closed = False

    def put(self, key: Key, item: Item, deadline: float) -> bool:
        """Leave the newest item of ``key``; True if it replaced one that was still waiting.

        A replacement inherits the deadline of what it replaces. With its own, later one, a camera
        could wait for ever behind another whose frames always arrive a little earlier. After
        :meth:`close` items are forgotten.
        """
        with self._condition:
            if self._closed:
                return False
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = _Waiting(item, deadline)
                self._condition.notify()
                return False
            waiting.item = item
            waiting.replaced += 1
            return True

    def __len__(self) -> int:
        """How many keys have an item waiting."""
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        """Whether an item of ``key`` waits."""
        return key in self._waiting

    def take(self, timeout_s: float) -> TakenItem[Key, Item] | None:
        """The item with the earliest deadline; None if none comes in time or when closed."""
        with self._condition:
            if not self._waiting and not self._closed:
                self._condition.wait(timeout_s)
            if not self._waiting or self._closed:
                return None
            return self._pop(min(self._waiting, key=self._deadline))

    def take_more(self, keys: Collection[Key], most: int) -> list[TakenItem[Key, Item]]:
        """Items of ``keys`` that wait now, at most ``most``, the earliest deadlines first.

        For a batch, after :meth:`take`: what that returned has the earliest deadline of all.
        """
        with self._condition:
            waiting = sorted((key for key in keys if key in self._waiting), key=self._deadline)
            return [self._pop(key) for key in waiting[:most]]

    def close(self) -> list[TakenItem[Key, Item]]:
        """Wake whoever waits in :meth:`take`, which returns None from now on.

        Returns what was still waiting.
        """
        with self._condition:
            left = [
                TakenItem(key, waiting.item, waiting.replaced)
                for key, waiting in self._waiting.items()
            ]
            self._waiting.clear()
            self._closed = True
            self._condition.notify_all()
        return left

    def _deadline(self, key: Key) -> float:
        return self._waiting[key].deadline

    def _pop(self, key: Key) -> TakenItem[Key, Item]:
        waiting = self._waiting.pop(key)
        return TakenItem(key, waiting.item, waiting.replaced)
