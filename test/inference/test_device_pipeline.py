"""Whole frames on the device: what the host path gives, without waiting in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import golden_recipe
import numpy as np
import pytest
import torch
from device_networks import (
    EVERYTHING,
    assert_same,
    host_predictor,
    picture,
    small_nano,
    small_network,
)
from devices import needs_cuda
from golden_networks import recorded_arrays
from no_waiting import NoWaiting
from torch import Tensor

from yolact_ros.errors import ConfigError, ImageError, YolactError
from yolact_ros.inference import device_pipeline
from yolact_ros.inference.device_execution import (
    CudaExecution,
    DirectExecution,
    compiled_or_plain,
)
from yolact_ros.inference.device_frame import detect_frame
from yolact_ros.inference.device_pipeline import MAX_SHAPES, RECORD_AT_FRAME, DevicePipeline
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.readback_buffer import ReadbackBuffer
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact
from yolact_ros.models.network import Network
from yolact_ros.ops.device_masks import MaskGrid, window_bits
from yolact_ros.structures import NetworkOutput

CPU = torch.device("cpu")
# Without and with rescoring, and the one whose masks are cut off in the image.
FAMILIES = ("yolact_light", "yolact_plus_resnet50", "yolact_nano")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the images of these tests fill several of them."""
    for module in ("ops.device_masks", "inference.device_pipeline", "inference.readback_buffer"):
        monkeypatch.setattr(f"yolact_ros.{module}.WINDOW_BYTES", 500)


@pytest.fixture(scope="module")
def network() -> Yolact:
    return small_network()


@pytest.fixture
def host(network: Yolact) -> Iterator[Predictor]:
    made = host_predictor(network)
    yield made
    made.close()


@pytest.fixture
def device(network: Yolact) -> Iterator[Predictor]:
    made = Predictor(network, device="cpu", settings=EVERYTHING, on_device=True)
    yield made
    made.close()


class CountingExecution(DirectExecution):
    """Counts what is recorded, which on CUDA is a capture of some milliseconds."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.recorded = 0

    def record(self, stage: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        return super().record(stage)


def make(name: str) -> Network:
    return small_nano() if name == "yolact_nano" else small_network(name, input_size_px=256)


def make_pipeline(network: Network, execution: DirectExecution | None = None) -> DevicePipeline:
    return DevicePipeline(
        network.config,
        network.decoder,
        network,
        execution or DirectExecution(CPU),
        mask_rescoring=network.mask_rescoring,
    )


def test_the_golden_image_gives_the_references_instances(
    r50_network: Yolact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # windows of their true size
    recorded = recorded_arrays("r50_infer")
    settings = PredictionSettings(score_threshold=0.0, top_k=100)
    predictor = Predictor(r50_network, device="cpu", settings=settings, on_device=True)
    prediction = predictor.predict(golden_recipe.image())
    predictor.close()
    np.testing.assert_array_equal(prediction.class_ids, recorded["cv2path_fast_class"])
    np.testing.assert_allclose(prediction.scores, recorded["cv2path_fast_score"], atol=1e-4)
    boxes = np.clip(recorded["cv2path_fast_box"] * (640, 480, 640, 480), 0, (640, 480, 640, 480))
    np.testing.assert_allclose(prediction.boxes_xyxy, boxes, atol=0.05)
    areas = [int(np.unpackbits(crop.bits).sum()) for crop in prediction.mask_crops]
    np.testing.assert_allclose(areas, recorded["fast_post_mask_area"], atol=30, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        EVERYTHING,
        replace(EVERYTHING, top_k=200),
        replace(EVERYTHING, top_k=3),
        replace(EVERYTHING, score_threshold=0.7),
        replace(EVERYTHING, score_threshold=1.0),
        replace(EVERYTHING, nms_threshold=0.2),
        replace(EVERYTHING, class_ids=(2, 0)),
        replace(EVERYTHING, masks=False),
        replace(EVERYTHING, nms="standard", score_threshold=0.1),
    ],
)
def test_any_settings_give_the_predictions_of_the_host(
    host: Predictor, device: Predictor, settings: PredictionSettings
) -> None:
    host.settings = device.settings = settings
    expected = host.predict(picture())
    assert (len(expected) > 0) == (settings.score_threshold < 1)
    assert_same(device.predict(picture()), expected)


@pytest.mark.parametrize("size_px", [(48, 64), (41, 67), (200, 150), (30, 30)])
def test_any_image_size_gives_the_predictions_of_the_host(
    host: Predictor, device: Predictor, size_px: tuple[int, int]
) -> None:
    image = picture(1, *size_px)
    assert_same(device.predict(image), host.predict(image))


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("most", [None, 1, 7, 100])
def test_fewer_and_coarser_masks_are_those_of_the_host(
    host: Predictor, device: Predictor, stride: int, most: int | None
) -> None:
    image = picture(2, 50, 90)
    ours, theirs = (
        predictor.finish(predictor.detect(image), max_instances=most, mask_stride=stride)[0]
        for predictor in (device, host)
    )
    assert_same(ours, theirs)


def test_masks_that_did_not_fit_the_copy_are_fetched(
    host: Predictor, device: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_pipeline, "WHOLE_MASKS", 1)
    host.settings = device.settings = replace(EVERYTHING, top_k=200)
    image = picture(3, 120, 160)
    prediction = device.predict(image)
    brought = 120 * 160 // 8 + 500
    assert sum(crop.bits.size for crop in prediction.mask_crops) > 2 * brought
    assert_same(prediction, host.predict(image))


def test_rescoring_networks_give_the_predictions_of_the_host() -> None:
    network = small_network("yolact_plus_resnet50", input_size_px=256)
    device = Predictor(network, device="cpu", settings=EVERYTHING, on_device=True)
    host = host_predictor(network)
    prediction = device.predict(picture(4))
    assert len(prediction) == EVERYTHING.top_k
    assert_same(prediction, host.predict(picture(4)))
    device.close()
    host.close()


def test_masks_that_are_cut_off_in_the_image_are_those_of_the_host() -> None:
    network = small_nano()
    device = Predictor(network, device="cpu", settings=EVERYTHING, on_device=True)
    host = host_predictor(network)
    for seed, stride in ((5, 1), (6, 3)):
        ours, theirs = (
            predictor.finish(predictor.detect(picture(seed, 50, 90)), mask_stride=stride)[0]
            for predictor in (device, host)
        )
        assert sum(crop.bits.any() for crop in ours.mask_crops) > 10
        assert_same(ours, theirs)
    device.close()
    host.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_waits_for_the_device_between_the_image_and_its_result(name: str) -> None:
    pipeline = make_pipeline(make(name))
    expected = pipeline.detect(picture(0), EVERYTHING)
    for seed in range(RECORD_AT_FRAME):
        pipeline.detect(picture(seed), EVERYTHING)
    with NoWaiting():
        pipeline.launch(picture(0), EVERYTHING)
    found = pipeline.collect()
    np.testing.assert_array_equal(found.detections.scores, expected.detections.scores)


def test_live_settings_change_without_recording_anew(network: Yolact) -> None:
    execution = CountingExecution()
    pipeline = make_pipeline(network, execution)
    counts = []
    for settings in (
        EVERYTHING,
        replace(EVERYTHING, score_threshold=0.7),
        replace(EVERYTHING, nms_threshold=0.1),
        replace(EVERYTHING, class_ids=(1,)),
        replace(EVERYTHING, top_k=200),
        EVERYTHING,
    ):
        counts.append(len(pipeline.detect(picture(), settings).detections))
        recorded = execution.recorded
    assert recorded == 3  # preprocessing, detection, extra windows
    assert counts[0] == counts[-1] == EVERYTHING.top_k
    assert len(set(counts)) >= 3


def test_an_image_size_that_comes_again_is_recorded_once_and_few_are_kept(network: Yolact) -> None:
    execution = CountingExecution()
    pipeline = make_pipeline(network, execution)
    for _ in range(3):
        for height_px in (40, 48):
            pipeline.detect(picture(0, height_px), EVERYTHING)
    assert execution.recorded == 2 * 2 + 1
    for height_px in range(50, 50 + 3 * MAX_SHAPES):
        pipeline.detect(picture(0, height_px), EVERYTHING)
    assert execution.recorded == 2 * 2 + 1, "a size that comes once was recorded"
    assert len(pipeline._shapes) == MAX_SHAPES


def test_a_frame_is_one_copy_to_the_host(network: Yolact, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = make_pipeline(network)
    pipeline.detect(picture(), EVERYTHING)
    sent: list[ReadbackBuffer] = []
    send = ReadbackBuffer.send
    monkeypatch.setattr(
        ReadbackBuffer, "send", lambda readback: (sent.append(readback), send(readback))
    )
    count = len(pipeline.detect(picture(), EVERYTHING).detections)
    assert len(pipeline.crops(count)) == count
    assert len(sent) == 1


def test_a_prediction_stays_as_it_is_when_the_next_image_comes(device: Predictor) -> None:
    first = device.predict(picture(1))
    scores, bits = first.scores.copy(), [crop.bits.copy() for crop in first.mask_crops]
    device.predict(picture(2))
    np.testing.assert_array_equal(first.scores, scores)
    for crop, before in zip(first.mask_crops, bits, strict=True):
        np.testing.assert_array_equal(crop.bits, before)


def test_the_stages_are_timed(device: Predictor) -> None:
    _, times = device.predict_timed(picture())
    assert all(0 < time_ms < 60_000 for time_ms in times)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("class_logits", "NaN class scores"),
        ("coefficients", "NaN scores or mask coefficients"),
        ("prototypes", "NaN prototypes"),
    ],
)
def test_damaged_weights_are_reported_and_not_as_a_result(
    network: Yolact, field: str, message: str
) -> None:
    def broken(images: Tensor) -> NetworkOutput:
        output: NetworkOutput = network(images)
        values = getattr(output, field).clone()
        values[0, :] = float("nan")
        return output._replace(**{field: values})

    predictor = Predictor(network, device="cpu", settings=EVERYTHING, on_device=True)
    predictor._pipeline = DevicePipeline(
        network.config, network.decoder, broken, DirectExecution(CPU)
    )
    for _ in range(2):
        with pytest.raises(YolactError, match=message):
            predictor.predict(picture())


def test_after_a_bad_image_or_setting_the_next_frame_works(
    host: Predictor, device: Predictor
) -> None:
    device.predict(picture())
    with pytest.raises(ImageError):
        device.predict(picture()[..., :2])
    device.settings = replace(EVERYTHING, class_ids=(5,))
    with pytest.raises(ConfigError, match="class_ids has 5"):
        device.predict(picture())
    device.settings = EVERYTHING
    assert_same(device.predict(picture(5)), host.predict(picture(5)))


def test_a_device_out_of_memory_is_an_error_of_its_own(network: Yolact) -> None:
    has_memory = False

    def run(images: Tensor) -> NetworkOutput:
        if not has_memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        output: NetworkOutput = network(images)
        return output

    pipeline = DevicePipeline(network.config, network.decoder, run, DirectExecution(CPU))
    with pytest.raises(DeviceMemoryError, match="at an input of 64 px; use a smaller"):
        pipeline.detect(picture(), EVERYTHING)
    has_memory = True
    assert len(pipeline.detect(picture(), EVERYTHING).detections) > 0


def test_the_compiler_gets_detection_and_masks_as_one_graph_each(network: Yolact) -> None:
    """Without a break, and the same in the form that it traces."""
    with torch.inference_mode():
        output = tuple(network(torch.randn(1, 3, 64, 64))[:4])
        grid = MaskGrid(*torch.tensor([48, 64, 1], dtype=torch.int32).unbind())
        live = torch.tensor([0.0, 0.5, 1, 1, 1])
        arguments = (output, network.decoder, live, grid, 200, None, False)
        traced = torch.compile(detect_frame, backend="eager", fullgraph=True)
        for ours, expected in zip(traced(*arguments), detect_frame(*arguments), strict=True):
            torch.testing.assert_close(ours, expected)
        found = detect_frame(*arguments)
        first_byte = torch.tensor(0, dtype=torch.int32)
        window = (found.planes, found.rectangles, grid, first_byte)
        traced = torch.compile(window_bits, backend="eager", fullgraph=True)
        assert torch.equal(traced(*window), window_bits(*window))
        assert window_bits(*window).any()


def test_what_the_compiler_refuses_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def break_the_graph(values: Tensor) -> Tensor:
        return values * int(values.sum().item() > 0) if bool(values.sum() > 0) else values

    run = compiled_or_plain(break_the_graph)
    with caplog.at_level(logging.WARNING):
        results = [run(torch.ones(3)).tolist() for _ in range(2)]
    assert results == [[1.0, 1.0, 1.0]] * 2
    assert len([record for record in caplog.records if "uncompiled" in record.message]) == 1


@needs_cuda
@pytest.mark.parametrize("name", FAMILIES)
def test_cuda_captures_every_stage_and_waits_for_nothing(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make_pipeline(make(name).cuda(), CudaExecution(torch.device("cuda")))
    with caplog.at_level(logging.WARNING):
        for _ in range(RECORD_AT_FRAME):
            pipeline.detect(picture(9, 120, 160), EVERYTHING)
    assert not caplog.records, "a stage was not captured"
    for seed in range(3):
        torch.cuda.set_sync_debug_mode("error")
        try:
            pipeline.launch(picture(seed, 120, 160), EVERYTHING)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        found = pipeline.collect()
        assert len(found.detections) > 20
        assert all(time_ms > 0 for time_ms in found.times)
    pipeline.close()
