"""What a captured graph needs to stay right: its memory, and captures one at a time."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from devices import CUDA, needs_cuda

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference import cuda_graph
from yolact_ros.inference.cuda_graph import capture_graph


class Doubling:
    """A stage whose weights nobody else holds."""

    def __init__(self, device: torch.device | str, value: float) -> None:
        self._weights = torch.full((1000,), 2.0, device=device)
        self.input = torch.full((1000,), value, device=device)
        self.output = torch.zeros(1000, device=device)

    def __call__(self) -> None:
        self.output.copy_(self.input * self._weights)


def test_a_graph_holds_the_tensors_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = SimpleNamespace(
        CUDAGraph=lambda: SimpleNamespace(replay=lambda: None),
        current_stream=lambda device: SimpleNamespace(wait_stream=lambda other: None),
        device=lambda device: nullcontext(),
        stream=lambda stream: nullcontext(),
        graph=lambda graph, **options: nullcontext(),
    )
    monkeypatch.setattr(cuda_graph.torch, "cuda", stub)
    monkeypatch.setattr(cuda_graph, "_capture_stream", stub.current_stream)
    stage = Doubling("cpu", 1.0)
    weights = weakref.ref(stage._weights)
    replay = capture_graph(stage, CUDA).replay
    del stage
    gc.collect()
    assert weights() is not None
    del replay
    gc.collect()
    assert weights() is None


@needs_cuda
def test_a_replay_is_right_after_others_have_taken_all_free_memory() -> None:
    stage = Doubling(CUDA, 3.0)
    given, found = stage.input, stage.output
    replay = capture_graph(stage, CUDA).replay
    del stage
    others = [torch.full((1000,), 7.0, device=CUDA) for _ in range(200)]
    given.fill_(5.0)
    replay()
    assert found.tolist() == [10.0] * 1000
    assert all(other[0].item() == 7.0 for other in others)


@needs_cuda
def test_threads_capture_at_the_same_time() -> None:
    stages = [Doubling(CUDA, float(number)) for number in range(8)]
    failed: list[Exception] = []

    def capture_and_replay(stage: Doubling) -> None:
        try:
            for _ in range(5):
                capture_graph(stage, CUDA).replay()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=capture_and_replay, args=(one,)) for one in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.cuda.synchronize()
    assert not failed
    assert [stage.output[0].item() for stage in stages] == [2.0 * n for n in range(8)]


@needs_cuda
def test_what_waits_for_the_device_is_refused_and_the_device_works_on() -> None:
    values = torch.ones(3, device=CUDA)
    with pytest.raises(RuntimeUnavailableError, match="cannot be captured as a CUDA graph"):
        capture_graph(lambda: float(values.sum()), CUDA)
    assert values.sum().item() == 3.0
