"""The whole way of an image through a predictor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import golden_recipe
import numpy as np
import pytest
import torch
from golden_networks import recorded_arrays, smallest
from torch import nn

from yolact_ros.errors import (
    CheckpointError,
    ConfigError,
    ImageError,
    RuntimeUnavailableError,
    YolactError,
)
from yolact_ros.inference.predictor import Predictor, choose_device
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.checkpoint import save_checkpoint
from yolact_ros.prediction import Prediction

EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=30)


def small_network() -> Yolact:
    """An untrained network whose boxes pass the score floor."""
    torch.manual_seed(3)
    network = build_network(smallest("yolact_light", class_names=("cup", "dog")))
    for module in network.prediction_layers[0].modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.2)
    return network


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    made = Predictor(small_network(), device="cpu", settings=EVERYTHING)
    yield made
    made.close()


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def assert_same(first: Prediction, second: Prediction) -> None:
    np.testing.assert_array_equal(first.class_ids, second.class_ids)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.boxes_xyxy, second.boxes_xyxy)
    assert len(first.mask_crops) == len(second.mask_crops)
    for ours, theirs in zip(first.mask_crops, second.mask_crops, strict=True):
        np.testing.assert_array_equal(ours.bits, theirs.bits)


def assert_close(first: Prediction, second: Prediction) -> None:
    """The same instances; a batch may sum its products in another order."""
    np.testing.assert_array_equal(first.class_ids, second.class_ids)
    np.testing.assert_allclose(first.scores, second.scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(first.boxes_xyxy, second.boxes_xyxy, rtol=0, atol=1e-3)
    assert len(first.mask_crops) == len(second.mask_crops)
    for ours, theirs in zip(first.mask_crops, second.mask_crops, strict=True):
        assert (ours.width, ours.height) == (theirs.width, theirs.height)
        assert np.unpackbits(ours.bits ^ theirs.bits).sum() <= 0.01 * ours.width * ours.height


def test_the_golden_image_gives_the_references_instances(r50_network: Yolact) -> None:
    """From pixels on: the path with OpenCV's resize, which the reference recorded too."""
    recorded = recorded_arrays("r50_infer")
    settings = PredictionSettings(score_threshold=0.0, top_k=100)
    predictor = Predictor(r50_network, device="cpu", settings=settings)
    prediction = predictor.predict(golden_recipe.image())
    predictor.close()
    np.testing.assert_array_equal(prediction.class_ids, recorded["cv2path_fast_class"])
    np.testing.assert_allclose(prediction.scores, recorded["cv2path_fast_score"], atol=1e-4)
    boxes = np.clip(recorded["cv2path_fast_box"] * (640, 480, 640, 480), 0, (640, 480, 640, 480))
    np.testing.assert_allclose(prediction.boxes_xyxy, boxes, atol=0.05)
    areas = [int(np.unpackbits(crop.bits).sum()) for crop in prediction.mask_crops]
    np.testing.assert_allclose(areas, recorded["fast_post_mask_area"], atol=30, rtol=1e-3)


def test_scores_fall_and_all_arrays_belong_together(predictor: Predictor) -> None:
    prediction = predictor.predict(picture())
    count = len(prediction)
    assert 0 < count <= EVERYTHING.top_k
    assert (np.diff(prediction.scores) <= 0).all()
    assert prediction.class_ids.dtype == np.int64
    assert prediction.scores.dtype == prediction.boxes_xyxy.dtype == np.float32
    assert prediction.boxes_xyxy.shape == (count, 4)
    assert len(prediction.mask_crops) == count
    assert (prediction.image_height_px, prediction.image_width_px) == (48, 64)
    assert predictor.class_names == ("cup", "dog")


def test_the_same_image_gives_the_same_result(predictor: Predictor) -> None:
    first = predictor.predict(picture(1))
    predictor.predict(picture(2))
    assert_same(first, predictor.predict(picture(1)))


def test_a_prediction_stays_as_it_is_when_the_next_image_comes(predictor: Predictor) -> None:
    first = predictor.predict(picture(1))
    scores, bits = first.scores.copy(), [crop.bits.copy() for crop in first.mask_crops]
    predictor.predict(picture(2))
    np.testing.assert_array_equal(first.scores, scores)
    for crop, before in zip(first.mask_crops, bits, strict=True):
        np.testing.assert_array_equal(crop.bits, before)


def test_the_stages_are_timed(predictor: Predictor) -> None:
    prediction, times = predictor.predict_timed(picture())
    assert_same(prediction, predictor.predict(picture()))
    assert all(time_ms > 0 for time_ms in times)


def test_a_batch_gives_what_its_images_give_one_by_one(predictor: Predictor) -> None:
    images = [picture(1), picture(2)[:31, :50], picture(3)]
    expected = [predictor.predict(image) for image in images]
    for order in ([0, 1, 2], [2, 0]):
        frames = predictor.detect_batch([images[index] for index in order])
        for index, frame in zip(order, frames, strict=True):
            found, times = predictor.finish(frame)
            assert_close(found, expected[index])
            assert all(time_ms > 0 for time_ms in times)
        assert len({frame.times.inference_ms for frame in frames}) == 1


def test_a_batch_is_no_larger_than_the_runtime_holds() -> None:
    network = small_network()
    device = torch.device("cpu")
    runtime = EagerRuntime(network, device=device)
    runtime.max_batch = 2
    predictor = Predictor(network, device=device, runtime=runtime)
    assert predictor.max_batch == 2
    for count in (0, 3):
        with pytest.raises(ImageError, match=rf"{count} images at once, the runtime takes 1..2"):
            predictor.detect_batch([picture()] * count)
    predictor.close()
    on_device = Predictor(network, device="cpu", on_device=True)
    assert on_device.max_batch == 1
    on_device.close()


def test_a_bad_image_in_a_batch_raises_and_the_next_batch_works(predictor: Predictor) -> None:
    with pytest.raises(ImageError):
        predictor.detect_batch([picture(), picture()[..., :2]])
    expected = predictor.predict(picture())
    for frame in predictor.detect_batch([picture(), picture()]):
        assert_close(predictor.finish(frame)[0], expected)


def test_settings_can_change_between_images() -> None:
    predictor = Predictor(small_network(), device="cpu", settings=EVERYTHING)
    everything = predictor.predict(picture())
    predictor.settings = replace(EVERYTHING, top_k=2, masks=False)
    few = predictor.predict(picture())
    predictor.settings = replace(EVERYTHING, class_ids=(1,))
    dogs = predictor.predict(picture())
    predictor.close()
    np.testing.assert_array_equal(few.scores, everything.scores[:2])
    assert few.mask_crops == ()
    assert set(dogs.class_ids.tolist()) == {1}


def test_a_caller_can_decide_about_masks_after_the_detections(predictor: Predictor) -> None:
    whole = predictor.predict(picture())
    frame = predictor.detect(picture())
    few, times = predictor.finish(frame, max_instances=1)
    assert len(few) == len(few.mask_crops) == 1
    np.testing.assert_array_equal(few.mask_crops[0].bits, whole.mask_crops[0].bits)
    assert times.inference_ms == frame.times.inference_ms
    assert times.postprocess_ms > frame.times.postprocess_ms
    assert predictor.finish(frame, masks=False)[0].mask_crops == ()
    coarse, _ = predictor.finish(frame, mask_stride=4)
    assert len(coarse.mask_crops) == len(whole.mask_crops)
    areas = [int(np.unpackbits(crop.bits).sum()) for crop in coarse.mask_crops]
    assert any(areas)
    assert all(area % 16 == 0 for area in areas)
    assert any(int(np.unpackbits(crop.bits).sum()) % 16 for crop in whole.mask_crops)
    assert_same(predictor.finish(frame)[0], whole)


def test_warming_up_leaves_the_settings_alone() -> None:
    settings = replace(EVERYTHING, class_ids=(7,))
    predictor = Predictor(small_network(), device="cpu", settings=settings)
    predictor.warm_up()
    assert predictor.settings is settings
    predictor.close()


def test_a_closed_predictor_says_so() -> None:
    predictor = Predictor(small_network(), device="cpu")
    predictor.close()
    predictor.close()
    with pytest.raises(YolactError, match="closed"):
        predictor.predict(picture())


def test_a_model_file_can_be_used_by_its_path(tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small_network())
    loaded = Predictor.load(path, runtime="eager", device="cpu", settings=EVERYTHING)
    assert_same(loaded.predict(picture()), predictor.predict(picture()))
    loaded.close()
    larger = Predictor.load(path, runtime="eager", device="cpu", input_size_px=96)
    assert larger.detect(picture()).prototypes.shape[0] == 24
    larger.close()
    with pytest.raises(CheckpointError, match="16 prototypes"):
        Predictor.load(path, runtime="eager", num_prototypes=32)
    with pytest.raises(CheckpointError):
        Predictor.load(tmp_path / "none.safetensors", runtime="eager")


def test_damaged_weights_are_reported_on_every_image_and_not_as_a_result() -> None:
    network = small_network()
    with torch.no_grad():
        next(network.prediction_layers[0].parameters())[0] = float("nan")
    predictor = Predictor(network, device="cpu", settings=EVERYTHING)
    for _ in range(2):
        with pytest.raises(YolactError, match="NaN"):
            predictor.predict(picture())
    predictor.close()


def test_after_a_bad_image_the_next_one_is_processed(predictor: Predictor) -> None:
    expected = predictor.predict(picture())
    with pytest.raises(ImageError):
        predictor.predict(picture()[..., :2])
    predictor.settings = replace(EVERYTHING, class_ids=(5,))
    with pytest.raises(ConfigError, match="class_ids has 5"):
        predictor.predict(picture())
    predictor.settings = EVERYTHING
    assert_same(predictor.predict(picture()), expected)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xpu:5"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(RuntimeUnavailableError, match=name):
        choose_device(name)


def test_a_cuda_device_too_many_is_named_without_starting_cuda(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("CUDA was started"))
    with pytest.raises(
        RuntimeUnavailableError, match=r'"cuda:2" .*devices here: cuda:0, cuda:1\)'
    ):
        choose_device("cuda:2")


def test_auto_takes_the_gpu_only_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


def test_rescoring_networks_give_falling_scores_below_those_of_the_boxes() -> None:
    torch.manual_seed(5)
    config = smallest("yolact_plus_resnet50", input_size_px=256, class_names=("cup", "dog"))
    network = build_network(config)
    for module in network.prediction_layers[0].modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.2)
    predictor = Predictor(network, device="cpu", settings=replace(EVERYTHING, masks=False))
    with_rescoring = predictor.predict(picture())
    predictor.close()
    assert len(with_rescoring) > 0
    assert (np.diff(with_rescoring.scores) <= 0).all()


def test_a_predictor_takes_pixels_paths_and_lists_of_them(
    tmp_path: Path, predictor: Predictor
) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), picture())
    alone = predictor.predict(picture())
    for image in (picture(), path, str(path)):
        found = predictor(image)
        assert isinstance(found, Prediction)
        assert_same(found, alone)
    several = predictor([picture(), path])
    assert isinstance(several, list)
    assert [len(prediction) for prediction in several] == [len(alone)] * 2


def test_a_prediction_knows_the_names_of_its_classes(predictor: Predictor) -> None:
    found = predictor.predict(picture())
    assert found.class_names == predictor.class_names
    assert found[0].class_name == predictor.class_names[found[0].class_id]


def test_a_predictor_is_closed_at_the_end_of_its_block(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small_network())
    with Predictor.load(path, runtime="eager", device="cpu") as predictor:
        assert predictor.runtime == "eager fp32"
        predictor(picture())
    with pytest.raises(YolactError, match="closed"):
        predictor(picture())
