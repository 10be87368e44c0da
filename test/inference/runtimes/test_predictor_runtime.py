"""A predictor on a runtime of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolact_ros.errors import ConfigError, YolactError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact

CPU = torch.device("cpu")
EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=20)


@pytest.mark.parametrize("name", ["eager", "openvino"])
def test_a_predictor_finds_the_same_on_a_runtime(light: Yolact, name: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    image = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)
    runtime = open_runtime(name, light, device=CPU, precision="fp32")
    with_runtime = Predictor(light, device="cpu", settings=EVERYTHING, runtime=runtime)
    found = with_runtime.predict(image)
    expected = Predictor(light, device="cpu", settings=EVERYTHING).predict(image)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)
    with_runtime.close()
    with pytest.raises(YolactError, match="closed"):
        with_runtime.predict(image)


def test_a_runtime_for_another_input_size_is_refused(light: Yolact) -> None:
    runtime = open_runtime("eager", light.with_input_size(96), device=CPU)
    with pytest.raises(ConfigError, match="for an input of 96 px, the model has 64 px"):
        Predictor(light, device="cpu", runtime=runtime)
