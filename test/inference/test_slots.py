"""The newest frame waits; older ones give way; no camera starves."""

from __future__ import annotations

import threading
import time

from yolact_ros.inference.slots import FrameSlots


def test_a_newer_item_replaces_the_waiting_one_and_is_counted() -> None:
    slots: FrameSlots[str, int] = FrameSlots()
    assert [slots.put("front", number, deadline=number) for number in (1, 2, 3)] == [
        False,
        True,
        True,
    ]
    taken = slots.take(0.0)
    assert taken is not None
    assert (taken.key, taken.item, taken.replaced) == ("front", 3, 2)
    assert slots.take(0.0) is None


def test_the_earliest_deadline_goes_first() -> None:
    slots: FrameSlots[str, str] = FrameSlots()
    slots.put("left", "a", deadline=20.0)
    slots.put("right", "b", deadline=10.0)
    order = [slots.take(0.0), slots.take(0.0)]
    assert [taken and taken.key for taken in order] == ["right", "left"]


def test_more_items_of_the_keys_asked_for_are_handed_out_the_earliest_deadline_first() -> None:
    slots: FrameSlots[str, int] = FrameSlots()
    for number, key in enumerate(("rear", "right", "service", "left")):
        slots.put(key, number, deadline=40.0 - number)
    slots.put("right", 5, deadline=50.0)
    taken = slots.take_more(["left", "right", "rear", "absent"], 2)
    assert [(item.key, item.item, item.replaced) for item in taken] == [
        ("left", 3, 0),
        ("right", 5, 1),
    ]
    assert "service" in slots
    assert [item.key for item in slots.take_more(["left", "right", "rear"], 2)] == ["rear"]
    assert slots.take_more(["left"], 2) == []


def test_a_flooding_camera_does_not_starve_a_slow_one() -> None:
    slots: FrameSlots[str, int] = FrameSlots()
    served = {"flood": 0, "slow": 0}
    for step in range(100):
        # Both bring a newer frame while the worker is busy, the flooding one always first.
        for millisecond in range(10):
            slots.put("flood", step, deadline=step * 10 + millisecond)
        slots.put("slow", step, deadline=step * 10 + 9.5)
        taken = slots.take(0.0)
        assert taken is not None
        served[taken.key] += 1
    assert served["slow"] == served["flood"] == 50


def test_take_wakes_when_an_item_arrives() -> None:
    slots: FrameSlots[str, int] = FrameSlots()
    got = []
    thread = threading.Thread(target=lambda: got.append(slots.take(30.0)))
    begun_s = time.monotonic()
    thread.start()
    slots.put("front", 1, deadline=0.0)
    thread.join(30.0)
    assert got[0] is not None
    assert time.monotonic() - begun_s < 20.0


def test_close_wakes_the_waiting_thread_and_hands_back_what_was_left() -> None:
    slots: FrameSlots[str, int] = FrameSlots()
    got = []
    thread = threading.Thread(target=lambda: got.append(slots.take(30.0)))
    thread.start()
    assert slots.close() == []
    thread.join(30.0)
    assert got == [None]
    assert slots.put("front", 1, deadline=0.0) is False
    assert slots.take(0.0) is None

    slots = FrameSlots()
    slots.put("front", 1, deadline=0.0)
    slots.put("front", 2, deadline=0.0)
    (left,) = slots.close()
    assert (left.key, left.item, left.replaced) == ("front", 2, 1)
