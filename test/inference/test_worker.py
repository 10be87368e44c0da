"""The worker's thread: it goes on after an error and ends when told."""

from __future__ import annotations

import threading

import pytest

from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker

TIMEOUT_S = 30.0


def test_the_worker_goes_on_after_an_error() -> None:
    failures: list[Exception] = []
    handled = threading.Event()

    def handle(taken: TakenItem[str, int]) -> None:
        if taken.item == 1:
            raise RuntimeError("bad frame")
        handled.set()

    failed = threading.Event()

    def fail(error: Exception) -> None:
        failures.append(error)
        failed.set()

    worker = SlotWorker("test", handle, fail)
    worker.start()
    worker.slots.put("camera", 1, deadline=0.0)
    assert failed.wait(TIMEOUT_S)
    worker.slots.put("camera", 2, deadline=0.0)
    assert handled.wait(TIMEOUT_S)
    worker.stop()
    assert [str(error) for error in failures] == ["bad frame"]


def test_stop_finishes_the_item_in_hand_and_hands_back_the_waiting_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    finished = []

    def handle(taken: TakenItem[str, int]) -> None:
        begun.set()
        assert go_on.wait(TIMEOUT_S)
        finished.append(taken.item)

    worker = SlotWorker("test worker that stops", handle, lambda error: None)
    worker.start()
    worker.slots.put("camera", 1, deadline=0.0)
    assert begun.wait(TIMEOUT_S)
    worker.slots.put("camera", 2, deadline=0.0)
    close = worker.slots.close

    def close_and_go_on() -> list[TakenItem[str, int]]:
        left = close()
        go_on.set()
        return left

    monkeypatch.setattr(worker.slots, "close", close_and_go_on)
    left = worker.stop()
    assert finished == [1]
    assert [item.item for item in left] == [2]
    assert not [t for t in threading.enumerate() if t.name == "test worker that stops"]


def test_a_worker_that_never_started_can_be_stopped() -> None:
    assert SlotWorker("test", lambda taken: None, lambda error: None).stop() == []


def test_others_can_wait_for_a_pause_between_items() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def handle(taken: TakenItem[str, int]) -> None:
        begun.set()
        assert go_on.wait(TIMEOUT_S)

    worker = SlotWorker("test", handle, lambda error: None)
    assert not worker.wait_until_idle(-1.0)
    worker.start()
    assert worker.wait_until_idle(TIMEOUT_S)
    worker.slots.put("camera", 1, deadline=0.0)
    assert begun.wait(TIMEOUT_S)
    assert not worker.wait_until_idle(0.0)
    assert not worker.wait_until_idle(0.05)
    go_on.set()
    assert worker.wait_until_idle(TIMEOUT_S)
    worker.stop()
    assert worker.wait_until_idle(0.0)
