"""Networks in ncnn: what is converted, what is kept, and what is refused."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.errors import DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes import ncnn as ncnn_runtime
from yolact_ros.inference.runtimes import ncnn_conversion
from yolact_ros.inference.runtimes.ncnn import NcnnRuntime
from yolact_ros.inference.runtimes.ncnn_conversion import convert_network
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.models import Yolact, build_network
from yolact_ros.structures import NetworkOutput

pytest.importorskip("ncnn", reason="the extra ncnn is not installed")
pnnx = pytest.importorskip("pnnx", reason="the extra ncnn is not installed")

CPU = torch.device("cpu")
# Root mean square of the difference over that of the value.
FP32_ERROR = 1e-5


def network_of(name: str, input_size_px: int) -> Yolact:
    """A variant with coefficients of moderate size, as after training."""
    torch.manual_seed(0)
    config = variant(name, class_names=("cup", "dog", "cat"), fpn_channels=32, proto_channels=32)
    network = build_network(config.with_input_size(input_size_px)).eval()
    images = torch.randn(1, 3, input_size_px, input_size_px)
    with torch.inference_mode():
        # Before tanh they are of the size of the logits: both layers are made alike.
        spread = network(images).class_logits.std()
        for values in network.prediction_layers[0].mask_layer.parameters():
            values.mul_(0.5 / spread)
    return network


@pytest.mark.parametrize(
    ("name", "input_size_px"),
    [
        ("yolact_light", 64),
        ("yolact_light", 101),
        ("yolact_resnet50", 69),
        ("yolact_darknet53", 64),
        ("yolact_plus_resnet50", 69),
    ],
)
def test_it_equals_eager_in_every_kind_of_network_and_at_odd_sizes(
    name: str, input_size_px: int
) -> None:
    network = network_of(name, input_size_px)
    runtime = NcnnRuntime(network, device=CPU)
    images = torch.randn(1, 3, input_size_px, input_size_px)
    with torch.inference_mode():
        exact = network(images)
    for got, expected in zip(runtime.run(images)[:4], exact[:4], strict=True):
        assert got.shape == expected.shape
        difference = (got - expected).square().mean().sqrt() / expected.square().mean().sqrt()
        assert difference <= FP32_ERROR
    runtime.close()


def test_outputs_of_one_run_are_not_those_of_another(tiny: Yolact, images: Tensor) -> None:
    runtime = NcnnRuntime(tiny, device=CPU)
    first = runtime.run(images).class_logits.clone()
    other = runtime.run(-images).class_logits.clone()
    assert not torch.allclose(first, other)
    assert torch.equal(runtime.run(images).class_logits, first)


def test_channels_last_images_are_read_as_they_are_meant(tiny: Yolact, images: Tensor) -> None:
    runtime = NcnnRuntime(tiny, device=CPU)
    expected = runtime.run(images).class_logits.clone()
    same = runtime.run(images.to(memory_format=torch.channels_last)).class_logits
    assert torch.equal(same, expected)


def test_it_is_converted_once(
    tiny: Yolact, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = NcnnRuntime(tiny, device=CPU, cache_folder=tmp_path).run(images).class_logits.clone()
    (engine,) = tmp_path.iterdir()
    assert sorted(path.name for path in engine.iterdir()) == [
        "manifest.json",
        "network.ncnn.bin",
        "network.ncnn.param",
    ]
    monkeypatch.setattr(ncnn_runtime, "convert_network", None)
    again = NcnnRuntime(tiny, device=CPU, cache_folder=tmp_path).run(images).class_logits
    assert torch.equal(again, first)


@pytest.mark.parametrize("package", ["ncnn", "pnnx"])
def test_another_version_of_its_packages_converts_anew(
    tiny: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    version = ncnn_runtime.importlib.metadata.version
    NcnnRuntime(tiny, device=CPU, cache_folder=tmp_path)
    monkeypatch.setattr(
        ncnn_runtime.importlib.metadata,
        "version",
        lambda name: "0.1" if name == package else version(name),
    )
    NcnnRuntime(tiny, device=CPU, cache_folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("precision", ["int8", "bf16", "fp16"])
def test_it_has_fp32_only(tiny: Yolact, precision: str) -> None:
    with pytest.raises(RuntimeUnavailableError, match=f"ncnn has no precision {precision} on cpu"):
        NcnnRuntime(tiny, device=CPU, precision=precision)
    assert NcnnRuntime(tiny, device=CPU).precision == "fp32"


@pytest.mark.parametrize("package", ["ncnn", "pnnx"])
def test_a_package_that_is_not_installed_is_named_with_the_command(
    tiny: Yolact, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=f"pip install {package}.*ncnn"):
        open_runtime("ncnn", tiny, device=CPU)


class WithUnknownOperator(Yolact):
    """A network with an operator that ncnn has not."""

    def forward(self, images: Tensor) -> NetworkOutput:
        return super().forward(torch.fft.fft2(images).real)


def test_an_operator_that_ncnn_has_not_is_named_and_nothing_is_kept(
    tiny: Yolact, tmp_path: Path
) -> None:
    network = WithUnknownOperator(tiny.config)
    with pytest.raises(
        RuntimeUnavailableError,
        match=r"cannot be converted to ncnn \(it has no .*fft.*set runtime",
    ):
        NcnnRuntime(network, device=CPU, cache_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def failing_program(tmp_path: Path, script: str) -> SimpleNamespace:
    program = tmp_path / "pnnx"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return SimpleNamespace(EXEC_PATH=str(program))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no room >&2; exit 3", "pnnx ended with exit status 3: no room"),
        ("exit 0", "pnnx ended with exit status 0: it said nothing"),
        ("kill -9 $$", "pnnx was killed by SIGKILL"),
    ],
)
def test_a_converter_that_fails_is_a_reason(
    tiny: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    converter = failing_program(tmp_path, script)
    monkeypatch.setattr(ncnn_conversion, "require", lambda name, *, extra: converter)
    folder = tmp_path / "building" / "key"
    folder.mkdir(parents=True)
    with pytest.raises(RuntimeUnavailableError, match=reason):
        convert_network(tiny, folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_files_that_ncnn_never_reads_are_an_error(
    tiny: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_nonsense(model: Yolact, folder: Path) -> None:
        for name in (ncnn_conversion.GRAPH_FILE, ncnn_conversion.WEIGHTS_FILE):
            (folder / name).write_text("nonsense")

    monkeypatch.setattr(ncnn_runtime, "convert_network", write_nonsense)
    with pytest.raises(RuntimeUnavailableError, match="ncnn cannot read yolact_light"):
        NcnnRuntime(tiny, device=CPU, cache_folder=tmp_path)


def test_a_run_that_fails_is_an_error_and_the_next_one_works(
    tiny: Yolact, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = NcnnRuntime(tiny, device=CPU)
    net: Any = runtime._network
    no_memory = SimpleNamespace(input=lambda name, values: 0, extract=lambda name: (-100, None))
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "_network", SimpleNamespace(create_extractor=lambda: no_memory))
        with pytest.raises(RuntimeUnavailableError, match="status -100 at an input of 64 px"):
            runtime.run(images)
    assert runtime._network is net
    assert runtime.run(images).class_logits.shape[2] == 4


def test_closing_gives_the_memory_back(tmp_path: Path) -> None:
    memory = pytest.importorskip("psutil").Process()
    network = network_of("yolact_resnet50", 64)
    return_free_memory = ctypes.CDLL(None).malloc_trim
    NcnnRuntime(network, device=CPU, cache_folder=tmp_path).close()
    return_free_memory(0)
    before = memory.memory_info().rss
    runtime = NcnnRuntime(network, device=CPU, cache_folder=tmp_path)
    runtime.run(torch.zeros(1, 3, 64, 64))
    held = memory.memory_info().rss - before
    runtime.close()
    return_free_memory(0)
    assert held > 50 << 20
    assert memory.memory_info().rss - before < held / 4
