"""The networks behind the node: what they share, what they are opened with, what is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from yolact_ros.errors import ConfigError, RuntimeUnavailableError, YolactError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ros import runtime_choice
from yolact_ros.ros.model import ModelRunner
from yolact_ros.ros.parameters import FixedParameters, LiveParameters

IMAGE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


def model_of(model: Path, **live: Any) -> ModelRunner:
    fixed = FixedParameters(model=str(model), device="cpu", runtime="eager")
    return ModelRunner(fixed, LiveParameters(**live))


def test_the_runtime_gets_precision_and_calibration_images(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def refuse(name: str, *_: object, **options: Any) -> Any:
        asked.update(options, name=name)
        raise RuntimeUnavailableError("not here")

    monkeypatch.setattr(runtime_choice, "open_runtime", refuse)
    fixed = FixedParameters(
        model=str(tiny_model),
        device="cpu",
        runtime="openvino",
        precision="int8",
        calibration_folder="/images",
    )
    with pytest.raises(RuntimeUnavailableError, match="not here"):
        ModelRunner(fixed, LiveParameters())
    chosen = (asked["name"], asked["precision"], asked["calibration_folder"])
    assert chosen == ("openvino", "int8", "/images")


def test_the_best_level_finds_what_a_predictor_of_that_size_finds(tiny_model: Path) -> None:
    live = {"score_threshold": 0.0, "input_size": (128, 0), "mask_encoding": "none"}
    model = model_of(tiny_model, **live)
    assert model.input_sizes_px == (128, 64)
    prediction, times, size_px = model.predict_at_best(IMAGE, LiveParameters(**live))
    alone = Predictor.load(
        tiny_model,
        runtime="eager",
        device="cpu",
        settings=PredictionSettings(score_threshold=0.0, top_k=15),
        input_size_px=128,
    )
    expected = alone.predict(IMAGE)
    np.testing.assert_allclose(prediction.boxes_xyxy, expected.boxes_xyxy, atol=1e-3)
    assert len(prediction.mask_crops) == len(expected.mask_crops) > 0
    assert size_px == 128
    assert times.inference_ms > 0
    model.close()


def test_predicting_at_best_teaches_the_budget_nothing(tiny_model: Path) -> None:
    live = LiveParameters(score_threshold=0.0, input_size=(128, 64))
    model = model_of(tiny_model, score_threshold=0.0, input_size=(128, 64))
    budget = model.ready(live, masks=True).budget
    costs = budget.costs.network_ms(128), budget.costs.network.ratio_p95(128)
    for _ in range(3):
        model.predict_at_best(IMAGE, live)
    assert (budget.costs.network_ms(128), budget.costs.network.ratio_p95(128)) == costs
    model.close()


def test_input_sizes_share_their_weights(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: dict[int, int] = {}
    open_runtime = runtime_choice.open_runtime

    def watch(name: str, model: Any, **options: Any) -> Any:
        weights[model.config.input_size_px] = next(model.parameters()).data_ptr()
        return open_runtime(name, model, **options)

    monkeypatch.setattr(runtime_choice, "open_runtime", watch)
    model = model_of(tiny_model, input_size=(128, 96, 64))
    assert list(weights) == [64, 96, 128]
    assert len(set(weights.values())) == 1
    model.close()


def test_sizes_that_nobody_used_yet_are_closed_when_others_replace_them(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = Predictor.close

    def watch(predictor: Predictor) -> None:
        closed.append(predictor._config.input_size_px)
        close(predictor)

    monkeypatch.setattr(Predictor, "close", watch)
    model = model_of(tiny_model)
    for size_px in (96, 128):
        model.build(LiveParameters(input_size=(size_px,)))
        model.build(LiveParameters(input_size=(size_px,), top_k=3))
    assert closed == [96]
    model.ready(LiveParameters(input_size=(128,)), masks=True)
    assert closed == [96, 64]
    assert model.input_sizes_px == (128,)
    model.close()
    assert closed == [96, 64, 128]


class Choice:
    """Stands for what takes long: preparing and measuring."""

    def __init__(self) -> None:
        self.measured_px: list[int] = []
        self.error: YolactError | None = None

    def choose(self, network: Any, *, device: Any, turn: Any, **_: Any) -> Runtime:
        with turn():
            self.measured_px.append(network.config.input_size_px)
        if self.error is not None:
            raise self.error
        return EagerRuntime(network, device=device, reason="fastest: it is alone")


@pytest.fixture
def choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Choice:
    choice = Choice()
    monkeypatch.setattr(runtime_choice, "choose_runtime", choice.choose)
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path))
    return choice


def auto_model_of(model: Path, **live: Any) -> ModelRunner:
    fixed = FixedParameters(model=str(model), device="cpu", runtime="auto")
    return ModelRunner(fixed, LiveParameters(**live))


def test_auto_starts_with_eager_and_goes_over_to_the_fastest_between_two_images(
    tiny_model: Path, choice: Choice
) -> None:
    live = LiveParameters(score_threshold=0.0, input_size=(96, 64))
    model = auto_model_of(tiny_model, input_size=(96, 64))
    assert model.provisional
    assert model.runtime.startswith("eager ")
    assert model.runtime.endswith(" until the fastest is chosen")
    assert choice.measured_px == []
    before = model.ready(live, masks=True)
    with model.lock:
        assert model.ready(live, masks=True) is before
    model.build(live)
    assert choice.measured_px == [64, 96]
    assert (model.provisional, model.runtime) == (
        False,
        "eager fp32 (fastest: it is alone)",
    )
    assert model.ready(live, masks=True) is not before
    assert model.input_sizes_px == (96, 64)
    model.build(live)
    assert choice.measured_px == [64, 96]
    model.close()


def test_eager_stays_with_the_reason_where_the_fastest_cannot_be_had(
    tiny_model: Path, choice: Choice
) -> None:
    model = auto_model_of(tiny_model)
    before = model.ready(LiveParameters(), masks=True)
    choice.error = RuntimeUnavailableError("no room")
    with pytest.raises(RuntimeUnavailableError):
        model.build(LiveParameters())
    assert not model.provisional
    assert model.runtime.endswith(", since a faster one could not be had: no room")
    model.build(LiveParameters())
    assert choice.measured_px == [64]
    assert model.ready(LiveParameters(), masks=True) is before
    assert len(model.predict_at_best(IMAGE, LiveParameters(score_threshold=0.0))[0].scores)
    # Other sizes are another try.
    choice.error = None
    model.build(LiveParameters(input_size=(96,)))
    assert model.runtime == "eager fp32 (fastest: it is alone)"
    model.close()


def test_a_cancelled_choice_changes_nothing(tiny_model: Path, choice: Choice) -> None:
    model = auto_model_of(tiny_model)
    before = model.ready(LiveParameters(), masks=True)
    model.cancel()
    model.build(LiveParameters())
    assert choice.measured_px == []
    assert model.ready(LiveParameters(), masks=True) is before
    model.close()


def test_int8_is_never_stood_in_for_by_eager(tiny_model: Path, choice: Choice) -> None:
    fixed = FixedParameters(model=str(tiny_model), device="cpu", runtime="auto", precision="int8")
    with pytest.raises(RuntimeUnavailableError, match="needs images to calibrate on"):
        ModelRunner(fixed, LiveParameters())


def test_classes_are_called_what_the_parameter_says(tiny_model: Path, tmp_path: Path) -> None:
    names = tuple(f"part {index}" for index in range(len(model_of(tiny_model).class_names)))
    file = tmp_path / "parts.txt"
    file.write_text("\n".join(names))
    for given in (names, (str(file),)):
        fixed = FixedParameters(
            model=str(tiny_model), class_names=given, device="cpu", runtime="eager"
        )
        model = ModelRunner(fixed, LiveParameters(classes=("part 1",)))
        assert model.class_names == names
        assert model.config.class_names == names
        assert model.remarks == ()
        model.close()
    file.write_text("bolt\n")
    with pytest.raises(ConfigError, match=r"parts\.txt has 1 name \(bolt\), but"):
        ModelRunner(fixed, LiveParameters())
