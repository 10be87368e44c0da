"""Which runtimes are compared, and what is said of those that cannot be."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from yolact_ros.errors import ConfigError, DependencyError, RuntimeUnavailableError
from yolact_ros.evaluation.benchmark import contenders
from yolact_ros.evaluation.benchmark.contenders import (
    REFERENCE,
    ContenderName,
    default_contenders,
    open_contenders,
)
from yolact_ros.evaluation.benchmark.network import random_network, trained_network
from yolact_ros.evaluation.benchmark.stages import STAGES, measure_stages, time_frame
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.families import network_variant

CPU = torch.device("cpu")
EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=5)


def open_all(names, tiny_model):
    return open_contenders(
        [ContenderName.parse(name) for name in names],
        trained_network(tiny_model),
        device=CPU,
        settings=EVERYTHING,
        cache_folder=None,
    )


def close(opened):
    for contender in opened:
        contender.predictor.close()


def test_a_name_has_its_own_precision_or_that_of_all():
    assert ContenderName.parse("openvino:int8", "fp32") == ContenderName("openvino", "int8")
    assert ContenderName.parse("openvino", "fp32") == ContenderName("openvino", "fp32")
    assert str(ContenderName("openvino")) == "openvino"
    assert str(REFERENCE) == "eager fp32"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("warp", "runtime is 'warp', expected one of auto, eager"),
        ("eager:fp8", "precision is 'fp8', expected one of auto, fp32"),
        ("eager:", "precision is ''"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_there_are(text, words):
    with pytest.raises(ConfigError, match=words):
        ContenderName.parse(text)


def test_every_device_has_its_runtimes():
    assert [name.runtime for name in default_contenders(CPU)] == [
        "eager", "compiled", "openvino", "ncnn", "onnxruntime",
    ]  # fmt: skip
    names = default_contenders(torch.device("cuda"), "fp16")
    assert ContenderName("graph", "fp16") in names


def test_the_reference_comes_first_and_none_runs_twice(tiny_model):
    opened, left_out = open_all(["eager:fp32", "eager"], tiny_model)
    assert [contender.label for contender in opened] == ["eager fp32"]
    assert left_out == []
    close(opened)


def test_what_cannot_run_here_is_left_out_with_the_reason(tiny_model, monkeypatch):
    open_really = contenders.open_runtime

    def without_openvino(name, *arguments, **options):
        if name == "openvino":
            raise DependencyError("this needs the package openvino: install it")
        return open_really(name, *arguments, **options)

    monkeypatch.setattr(contenders, "open_runtime", without_openvino)
    opened, left_out = open_all(["openvino", "graph", "eager"], tiny_model)
    assert [out.name for out in left_out] == ["openvino", "graph"]
    assert "needs the package openvino" in left_out[0].reason
    assert "needs a CUDA device" in left_out[1].reason
    close(opened)


def test_a_runtime_that_fell_back_to_another_is_left_out(tiny_model, monkeypatch):
    eager = contenders.open_runtime

    def falls_back(name, *arguments, **options):
        runtime = eager("eager", *arguments, **options)
        runtime.reason = "instead of compiled: no compiler" if name == "compiled" else ""
        return runtime

    monkeypatch.setattr(contenders, "open_runtime", falls_back)
    opened, left_out = open_all(["compiled", "eager"], tiny_model)
    assert [(out.name, out.reason) for out in left_out] == [
        ("compiled", "instead of compiled: no compiler")
    ]
    close(opened)


def test_it_is_an_error_if_none_is_left(tiny_model):
    with pytest.raises(RuntimeUnavailableError, match=r"none of the runtimes.*CUDA device"):
        open_all(["graph"], tiny_model)


def test_stages_add_up_to_the_whole_and_masks_are_encoded(tiny_model):
    predictor = Predictor(trained_network(tiny_model), device=CPU, settings=EVERYTHING)
    seen = []
    frame = time_frame(predictor, np.full((48, 64, 3), 90, np.uint8), seen.append)
    assert tuple(frame.stages_ms) == STAGES
    assert all(value_ms >= 0 for value_ms in frame.stages_ms.values())
    assert 0 < sum(frame.stages_ms.values()) <= frame.whole_ms
    assert frame.cpu_ms > 0
    assert frame.instances == len(seen[0]) == len(seen[0].mask_crops) > 0
    predictor.close()


def test_all_contenders_see_the_same_images_and_are_compared_with_the_first(tiny_model):
    opened, _ = open_all(["eager"], tiny_model)
    twice = [opened[0], opened[0]]
    images = [np.full((48, 64, 3), value, np.uint8) for value in (20, 200)]
    first, second = measure_stages(twice, images, rounds=4)
    assert first.network_ratio == first.whole_ratio == first.cpu_ratio == 1
    assert second.whole_ratio == pytest.approx(first.whole.median_ms / second.whole.median_ms)
    assert second.network_min_ratio == pytest.approx(
        first.stages["network"].min_ms / second.stages["network"].min_ms
    )
    assert "encode" not in first.stages
    assert first.whole.count == 4
    assert first.instances == second.instances > 0
    close(opened)


@pytest.mark.parametrize("name", ["yolact_base", "yolact_darknet53", "yolact_plus_resnet50"])
def test_random_networks_stay_in_the_range_of_half_precision(name: str) -> None:
    network = random_network(network_variant(name).with_input_size(138))
    with torch.inference_mode():
        output = network(torch.randn(1, 3, 138, 138, generator=torch.Generator().manual_seed(4)))
    assert max(float(values.abs().max()) for values in output[:4]) < 100
    assert float(network.decoder.decode(output)[1].max()) < 0.3  # finds nothing


def test_random_networks_are_the_same_every_time_and_leave_torchs_generator_alone(tiny_model):
    config = trained_network(tiny_model).config
    state = torch.get_rng_state()
    first, second = random_network(config), random_network(config)
    assert torch.equal(state, torch.get_rng_state())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_modules_of_the_benchmark_need_no_ros_and_no_matplotlib():
    folder = Path(contenders.__file__).parent
    for module in sorted(folder.glob("*.py")):
        imported = importlib.import_module(f"yolact_ros.evaluation.benchmark.{module.stem}")
        assert not hasattr(imported, "plt")
