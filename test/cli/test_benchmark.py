"""``yolact benchmark``: table, JSON and plots, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact_ros.cli import benchmark_live, benchmark_scaling
from yolact_ros.cli.benchmark_live import LiveSettings, run_live
from yolact_ros.cli.main import main
from yolact_ros.errors import YolactError
from yolact_ros.evaluation import charts
from yolact_ros.evaluation.benchmark.contenders import Contender
from yolact_ros.evaluation.benchmark.memory import MemoryUse
from yolact_ros.evaluation.benchmark.network import trained_network
from yolact_ros.evaluation.benchmark.stages import measure_stages
from yolact_ros.evaluation.benchmark.tables import stage_table
from yolact_ros.inference.predictor import Predictor

pytest.importorskip("matplotlib", reason="the extra benchmark is not installed")


def benchmark(tiny_model, tmp_path, *arguments: str) -> int:
    return main(
        ["benchmark", "--model", str(tiny_model), "--device", "cpu", "--output",
         str(tmp_path / "out"), "--image-size", "64x48", "--score-threshold", "0", *arguments]
    )  # fmt: skip


def test_stages_of_a_model_as_table_json_and_plot(tiny_model, tmp_path, capsys):
    assert benchmark(tiny_model, tmp_path, "--runtimes", "eager", "graph", "--rounds", "3") == 0
    text = capsys.readouterr().out
    assert "| eager fp32 |" in text
    assert "left out: graph: the runtime graph needs a CUDA device" in text
    values = json.loads((tmp_path / "out/stages.json").read_text())
    result = values["results"][0]
    assert result["label"] == "eager fp32"
    assert set(result["stages"]) >= {"preprocess", "network", "nms", "masks"}
    assert result["whole"]["count"] == 3
    assert result["whole"]["min_ms"] <= result["whole"]["median_ms"] <= result["whole"]["p95_ms"]
    assert result["instances"] == 15
    assert values["left_out"][0]["name"] == "graph"
    assert values["environment"]["torch_threads"]
    assert 0 <= values["load"]["others_share"] <= 1
    assert cv2.imread(str(tmp_path / "out/stages.png")).std() > 5


def test_a_folder_of_images_is_used(tiny_model, tmp_path):
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "images/one.png"), noise)
    assert benchmark(
        tiny_model, tmp_path, "--runtimes", "eager", "--rounds", "1", "--images",
        str(tmp_path / "images"),
    ) == 0  # fmt: skip


def test_a_variant_runs_with_random_weights_at_another_input_size(tmp_path):
    arguments = ["--variant", "yolact_light", "--input-size", "64", "--runtimes", "eager"]
    assert main(["benchmark", *arguments, "--rounds", "1", "--output", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "stages.json").read_text())
    assert (values["network"], values["input_size_px"]) == ("yolact_light", 64)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runtimes", "warp"], "runtime is 'warp', expected one of auto, eager"),
        (["--runtimes", "graph"], "none of the runtimes can run here: graph"),
        (["--runtimes", "eager:int4"], "precision is 'int4'"),
        (["--rounds", "0"], "--rounds is 0, expected a positive number"),
        (["--threads", "-1"], "--threads is -1, expected 0 or more"),
        (["--param", "top_k=3"], "--param top_k=3: expected NAME:=VALUE"),
        (["--images", "nowhere.png"], "nowhere.png"),
        (["--device", "cuda:99"], "cuda:99"),
    ],
)
def test_a_wrong_option_is_named(tiny_model, tmp_path, capsys, arguments, words):
    assert benchmark(tiny_model, tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_model_that_is_not_there_is_named(tmp_path, capsys):
    for mode in ([], ["--scaling"]):
        arguments = ["benchmark", "--model", "yolact_nothing", "--output", str(tmp_path)]
        assert main([*arguments, "--runtimes", "eager", *mode]) == 2
        assert "yolact_nothing" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_found_out_first(tiny_model, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert benchmark(tiny_model, tmp_path, "--runtimes", "eager") == 2
    assert "out: cannot be made" in capsys.readouterr().err


def test_without_matplotlib_the_cure_is_said_first(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert benchmark(tiny_model, tmp_path, "--runtimes", "eager") == 2
    assert "pip install matplotlib" in capsys.readouterr().err


def test_scaling_has_four_curves(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark_scaling, "INPUT_SIZES_PX", (64, 96))
    monkeypatch.setattr(benchmark_scaling, "PROTOTYPES", (8, 16))
    assert benchmark(
        tiny_model, tmp_path, "--scaling", "--rounds", "1", "--duration", "0.3", "--rate", "20"
    ) == 0  # fmt: skip
    values = json.loads((tmp_path / "out/scaling.json").read_text())
    assert [curve["name"] for curve in values["curves"]] == [
        "instances", "input size", "prototypes", "cameras",
    ]  # fmt: skip
    assert values["curves"][1]["values"] == [64, 96]
    assert values["runtime"] == "eager"
    assert "| prototypes |" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "out/scaling.png")).std() > 5


def test_memory_on_a_gpu_has_a_column_where_there_is_some(tiny_model):
    predictor = Predictor(trained_network(tiny_model), device="cpu")
    contender = Contender("graph fp16", predictor, MemoryUse(10.0, 20.0, 345.0))
    results = measure_stages([contender], [np.zeros((48, 64, 3), np.uint8)], rounds=1)
    header, _, row = stage_table(results).splitlines()
    assert header.rstrip("| ").endswith("CUDA MiB")
    assert row.rstrip("| ").endswith("345")
    predictor.close()


def test_a_plot_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(YolactError, match=r"plot\.png: cannot be written"):
        charts.save_figure(charts.new_figure(), tmp_path / "missing" / "plot.png")


def test_without_ros_the_cure_is_said(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert benchmark(tiny_model, tmp_path, "--ros") == 2
    assert "rclpy is missing: use `./dev run`" in capsys.readouterr().err


def test_a_process_that_fails_is_reported_with_its_last_lines(tmp_path, monkeypatch):
    command = (sys.executable, "-c", "print('no such camera'); raise SystemExit(3)")
    monkeypatch.setattr(benchmark_live, "_camera_command", lambda _settings: command)
    connected = (sys.executable, "-uc", "print('connected'); import time; time.sleep(60)")
    monkeypatch.setattr(benchmark_live, "_node_command", lambda _settings: connected)
    monkeypatch.setattr(benchmark_live, "_probe_command", lambda *_files: connected)
    settings = LiveSettings("x", (64, 48), 10.0, 1.0, (), True, tmp_path)
    with pytest.raises(YolactError, match=r"camera: ended with exit status 3(.|\n)*no such"):
        run_live(settings, os.environ)


@pytest.mark.parametrize(
    ("said", "problem"),
    [("loading", "the node did not get ready"), ("connected", "no result came")],
)
def test_a_node_that_gives_no_result_ends_it_with_its_last_lines(
    said, problem, tmp_path, monkeypatch
):
    # A shell, since Python may take longer than that to start on a busy machine.
    waiting = ("sh", "-c", f"echo {said}; exec sleep 600")
    for name in ("_node_command", "_camera_command"):
        monkeypatch.setattr(benchmark_live, name, lambda _settings: waiting)
    monkeypatch.setattr(benchmark_live, "_probe_command", lambda *_files: waiting)
    settings = LiveSettings("x", (64, 48), 10.0, 1.0, (), True, Path(tmp_path), timeout_s=2.0)
    with pytest.raises(YolactError, match=rf"node: {problem} within 2 s(.|\n)*{said}"):
        run_live(settings, os.environ)
