"""The lock that goes round."""

from __future__ import annotations

import threading
import time

import pytest

from yolact_ros.inference.fair_lock import FairLock

PATIENCE_S = 30.0


def test_one_has_the_turn_at_a_time() -> None:
    lock, inside, most = FairLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with lock:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (most, inside) == (1, 0)


def test_who_asks_again_at_once_does_not_keep_another_out() -> None:
    """As a worker does whose images always wait."""
    lock, enough = FairLock(), threading.Event()
    order: list[str] = []

    def greedy() -> None:
        while not enough.is_set():
            with lock:
                order.append("greedy")
                # Until the other one asks, or has gone.
                while lock._asked - lock._served < 2 and not enough.is_set():
                    time.sleep(0)

    thread = threading.Thread(target=greedy)
    thread.start()
    for _ in range(20):
        while order[-1:] != ["greedy"]:
            time.sleep(0)
        with lock:
            order.append("other")
    enough.set()
    thread.join(PATIENCE_S)
    assert order[:40] == ["greedy", "other"] * 20


def test_an_error_passes_the_turn_on() -> None:
    lock = FairLock()
    with pytest.raises(ValueError, match="spoilt"), lock:
        raise ValueError("spoilt")
    with lock:
        pass
