"""Predictors on a device over their life: threads, neighbours, memory, closing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from device_networks import (
    EVERYTHING,
    assert_same,
    device_predictor,
    host_predictor,
    picture,
    small_nano,
    small_network,
)
from devices import CUDA, DEVICES, allocated_bytes, exact_convolutions, needs_cuda

from yolact_ros.errors import YolactError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.prediction import Prediction

ROUNDING = {"score_error": 2e-4, "box_error_px": 0.05, "mask_error": 5e-3}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with exact_convolutions():
        yield


def in_a_thread(work: Callable[[], Prediction]) -> Prediction:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("device", DEVICES)
def test_a_predictor_made_on_one_thread_works_on_others(device: torch.device) -> None:
    network = small_network()
    with host_predictor(network) as host, device_predictor(network, device) as on_device:
        on_device.warm_up()
        for seed in range(3):
            image = picture(seed)
            found = in_a_thread(lambda image=image: on_device.predict(image))
            assert_same(found, host.predict(image), **ROUNDING)


@pytest.mark.parametrize("device", DEVICES)
def test_two_predictors_work_in_turns(device: torch.device) -> None:
    networks = [small_network(), small_nano()]
    hosts = [host_predictor(network) for network in networks]
    ours = [device_predictor(network, device) for network in networks]
    for seed in range(3):
        for host, on_device in zip(hosts, ours, strict=True):
            assert_same(on_device.predict(picture(seed)), host.predict(picture(seed)), **ROUNDING)
    for predictor in (*hosts, *ours):
        predictor.close()


@needs_cuda
def test_two_predictors_work_at_the_same_time() -> None:
    networks = [small_network(), small_nano()]
    expected = []
    for network in networks:
        with host_predictor(network) as host:
            expected.append([host.predict(picture(seed)) for seed in range(3)])

    def run(index: int) -> None:
        with device_predictor(networks[index], CUDA) as on_device:
            for _ in range(10):
                for seed in range(3):
                    found = on_device.predict(picture(seed))
                    assert_same(found, expected[index][seed], **ROUNDING)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, index) for index in range(2)]:
            done.result()


@pytest.mark.parametrize("device", DEVICES)
def test_a_prediction_is_not_changed_by_the_next_frame(device: torch.device) -> None:
    with device_predictor(small_network(), device) as on_device:
        for _ in range(2):
            first = on_device.predict(picture(1))
            boxes, masks = first.boxes_xyxy.copy(), first.masks.copy()
            on_device.predict(picture(2))
            np.testing.assert_array_equal(first.boxes_xyxy, boxes)
            np.testing.assert_array_equal(first.masks, masks)


@needs_cuda
def test_three_hundred_frames_take_no_more_memory_than_ten() -> None:
    with device_predictor(small_network(), CUDA) as on_device:
        taken = []
        for frame in range(300):
            on_device.predict(picture(frame % 5, 48, 64 + 8 * (frame % 3)))
            taken.append(allocated_bytes(CUDA))
    assert max(taken[10:]) == taken[10]


@needs_cuda
def test_closing_gives_the_memory_back() -> None:
    def use() -> None:
        with device_predictor(small_network(), CUDA) as on_device:
            for _ in range(3):
                on_device.predict(picture())

    use()  # workspaces of the libraries stay
    gc.collect()
    before = allocated_bytes(CUDA)
    for _ in range(3):
        use()
    gc.collect()
    assert allocated_bytes(CUDA) <= before + (1 << 20)


@pytest.mark.parametrize("device", DEVICES)
def test_a_closed_predictor_says_so(device: torch.device) -> None:
    on_device = device_predictor(small_network(), device)
    on_device.predict(picture())
    on_device.close()
    on_device.close()
    with pytest.raises(YolactError, match="closed"):
        on_device.predict(picture())


@needs_cuda
def test_a_full_device_is_named_and_works_on_when_there_is_room() -> None:
    network = small_network(input_size_px=1024)
    predictor = Predictor(network, device="cuda", settings=EVERYTHING)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (32 << 20)) / total)
    try:
        with pytest.raises(DeviceMemoryError, match="ran out of memory at an input of 1024 px"):
            predictor.predict(picture())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(predictor.predict(picture())) == EVERYTHING.top_k
    predictor.close()
