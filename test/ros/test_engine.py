"""The networks behind the node: what they share, what they are opened with, what is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PostprocessConfig
from yolact_ros.ros import engine as engine_module
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.parameters import FixedParameters, LiveParameters

IMAGE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


def engine_of(model: Path, **live: Any) -> Engine:
    return Engine(FixedParameters(model=str(model), device="cpu"), LiveParameters(**live))


def test_the_runtime_gets_precision_and_calibration_images(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def refuse(name: str, *_: object, **options: Any) -> Any:
        asked.update(options, name=name)
        raise RuntimeUnavailableError("not here")

    monkeypatch.setattr(engine_module, "open_runtime", refuse)
    fixed = FixedParameters(
        model=str(tiny_model),
        device="cpu",
        runtime="openvino",
        precision="int8",
        calibration_folder="/images",
    )
    with pytest.raises(RuntimeUnavailableError, match="not here"):
        Engine(fixed, LiveParameters())
    chosen = (asked["name"], asked["precision"], asked["calibration_folder"])
    assert chosen == ("openvino", "int8", "/images")


def test_the_best_rung_finds_what_a_predictor_of_that_size_finds(tiny_model: Path) -> None:
    live = {"score_threshold": 0.0, "input_size": (128, 0), "mask_encoding": "none"}
    engine = engine_of(tiny_model, **live)
    assert engine.input_sizes_px == (128, 64)
    prediction, times, size_px = engine.predict_at_best(IMAGE, LiveParameters(**live))
    alone = Predictor.from_checkpoint(
        tiny_model,
        device="cpu",
        settings=PostprocessConfig(score_threshold=0.0, top_k=15),
        input_size_px=128,
    )
    expected = alone.predict(IMAGE)
    np.testing.assert_allclose(prediction.boxes_xyxy, expected.boxes_xyxy, atol=1e-3)
    assert len(prediction.masks) == len(expected.masks) > 0
    assert size_px == 128
    assert times.inference_ms > 0
    engine.close()


def test_predicting_at_best_teaches_the_budget_nothing(tiny_model: Path) -> None:
    live = LiveParameters(score_threshold=0.0, input_size=(128, 64))
    engine = engine_of(tiny_model, score_threshold=0.0, input_size=(128, 64))
    budget = engine.ready(live, masks=True).budget
    costs = budget.costs.network_ms(128), budget.costs.network.ratio_p95(128)
    statistics = budget.statistics()
    for _ in range(3):
        engine.predict_at_best(IMAGE, live)
    assert (budget.costs.network_ms(128), budget.costs.network.ratio_p95(128)) == costs
    assert budget.statistics() == statistics
    engine.close()


def test_input_sizes_share_their_weights(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: dict[int, int] = {}
    open_runtime = engine_module.open_runtime

    def watch(name: str, model: Any, **options: Any) -> Any:
        weights[model.config.input_size_px] = next(model.parameters()).data_ptr()
        return open_runtime(name, model, **options)

    monkeypatch.setattr(engine_module, "open_runtime", watch)
    engine = engine_of(tiny_model, input_size=(128, 96, 64))
    assert list(weights) == [64, 96, 128]
    assert len(set(weights.values())) == 1
    engine.close()


def test_sizes_that_nobody_used_yet_are_closed_when_others_replace_them(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = Predictor.close

    def watch(predictor: Predictor) -> None:
        closed.append(predictor._config.input_size_px)
        close(predictor)

    monkeypatch.setattr(Predictor, "close", watch)
    engine = engine_of(tiny_model)
    for size_px in (96, 128):
        engine.build(LiveParameters(input_size=(size_px,)))
        engine.build(LiveParameters(input_size=(size_px,), top_k=3))
    assert closed == [96]
    engine.ready(LiveParameters(input_size=(128,)), masks=True)
    assert closed == [96, 64]
    assert engine.input_sizes_px == (128,)
    engine.close()
    assert closed == [96, 64, 128]
