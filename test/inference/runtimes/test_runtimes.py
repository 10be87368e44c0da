"""Every runtime gives what eager gives."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from devices import needs_cuda
from torch import Tensor

from yolact_ros.errors import ImageError, RuntimeUnavailableError
from yolact_ros.inference.runtimes import openvino as openvino_module
from yolact_ros.inference.runtimes.base import DeviceMemoryError, Runtime
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.inference.runtimes.engine_cache import EngineCache
from yolact_ros.inference.runtimes.graph import GraphRuntime
from yolact_ros.inference.runtimes.ncnn import NcnnRuntime
from yolact_ros.inference.runtimes.onnxruntime import OnnxRuntime
from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
from yolact_ros.inference.runtimes.precision import native_floats
from yolact_ros.models import Yolact
from yolact_ros.structures import NetworkOutput

CPU = torch.device("cpu")
has_bf16 = "bf16" in native_floats(CPU)
needs_bf16 = pytest.mark.skipif(not has_bf16, reason="this CPU has no bfloat16 units")
# Root mean square of the difference over that of the exact value.
FP32_ERROR = 1e-5
BF16_ERROR = 0.03


def assert_close(output: NetworkOutput, exact: NetworkOutput, error: float) -> None:
    assert output.semantic_logits is None
    for name, got, expected in zip(NetworkOutput._fields[:4], output, exact, strict=False):
        assert got.shape == expected.shape, name
        assert got.dtype == torch.float32, name
        difference = (got - expected).square().mean().sqrt() / expected.square().mean().sqrt()
        assert difference <= error, name


def reference(network: Yolact, images: Tensor) -> NetworkOutput:
    with torch.inference_mode():
        output: NetworkOutput = network(images)
    return output


def test_eager_is_the_network_itself(light: Yolact, images: Tensor) -> None:
    output = EagerRuntime(light, device=CPU).run(images)
    for got, expected in zip(output[:4], reference(light, images)[:4], strict=True):
        assert torch.equal(got, expected)


@needs_bf16
def test_eager_in_bf16_is_close(light: Yolact, images: Tensor) -> None:
    runtime = EagerRuntime(light, device=CPU, precision="bf16")
    assert_close(runtime.run(images), reference(light, images), BF16_ERROR)


def test_eager_takes_a_batch(light: Yolact, images: Tensor) -> None:
    output = EagerRuntime(light, device=CPU).run(torch.cat([images, -images]))
    assert output.class_logits.shape[0] == 2


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_openvino_equals_eager(light: Yolact, images: Tensor, precision: str) -> None:
    pytest.importorskip("openvino")
    runtime = OpenVinoRuntime(light, device=CPU, precision=precision)
    error = FP32_ERROR if precision == "fp32" else BF16_ERROR
    assert_close(runtime.run(images), reference(light, images), error)


def test_onnxruntime_equals_eager(light: Yolact, images: Tensor) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    runtime = OnnxRuntime(light, device=CPU)
    assert_close(runtime.run(images), reference(light, images), FP32_ERROR)


@pytest.fixture(scope="module", params=[OpenVinoRuntime, NcnnRuntime, OnnxRuntime])
def open_cached(
    request: pytest.FixtureRequest, tiny: Yolact, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Runtime]:
    """Opens a runtime in fp32 with a cache folder, which already has its engine at first."""
    for package in ("openvino", "ncnn", "pnnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    built = tmp_path_factory.mktemp("built")
    request.param(tiny, device=CPU, precision="fp32", cache_folder=built).close()

    def open_cached(folder: Path) -> Runtime:
        if not folder.exists():
            shutil.copytree(built, folder)
        return request.param(tiny, device=CPU, precision="fp32", cache_folder=folder)

    return open_cached


def forbid_building(folder: Path) -> None:
    raise AssertionError("the engine is not intact")


@pytest.mark.parametrize("damage", ["cut short", "whole but unreadable", "no manifest"])
def test_a_damaged_engine_is_built_again(
    tiny: Yolact,
    images: Tensor,
    tmp_path: Path,
    open_cached: Callable[[Path], Runtime],
    damage: str,
) -> None:
    cache = tmp_path / "cache"
    open_cached(cache).close()
    (engine,) = cache.iterdir()
    network = next(engine.glob("network.[nox]*"))
    if damage == "no manifest":
        (engine / "manifest.json").unlink()
    else:
        network.write_bytes(network.read_bytes()[:100])
    if damage == "whole but unreadable":
        manifest = json.loads((engine / "manifest.json").read_text())
        manifest[network.name] = hashlib.blake2b(network.read_bytes()).hexdigest()
        (engine / "manifest.json").write_text(json.dumps(manifest))
    assert_close(open_cached(cache).run(images), reference(tiny, images), FP32_ERROR)
    assert EngineCache(cache).get(engine.name, forbid_building) == engine
    assert len(network.read_bytes()) > 100


def open_eager(network: Yolact) -> Runtime:
    return EagerRuntime(network, device=CPU)


def open_openvino(network: Yolact) -> Runtime:
    pytest.importorskip("openvino")
    return OpenVinoRuntime(network, device=CPU)


def open_ncnn(network: Yolact) -> Runtime:
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    return NcnnRuntime(network, device=CPU)


@pytest.mark.parametrize("open_one", [open_eager, open_openvino, open_ncnn])
def test_a_closed_runtime_says_so(
    tiny: Yolact, images: Tensor, open_one: Callable[[Yolact], Runtime]
) -> None:
    runtime = open_one(tiny)
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeUnavailableError, match="is closed"):
        runtime.run(images)


def test_a_runtime_describes_itself(tiny: Yolact) -> None:
    assert EagerRuntime(tiny, device=CPU, reason="asked for").describe() == {
        "runtime": "eager",
        "precision": "fp32",
        "device": "cpu",
        "input_size_px": "64",
        "reason": "asked for",
    }


@pytest.mark.parametrize(
    "shape", [(1, 3, 64, 60), (1, 1, 64, 64), (3, 64, 64), (0, 3, 64, 64), (17, 3, 64, 64)]
)
def test_another_input_shape_is_refused(tiny: Yolact, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="the network input"):
        EagerRuntime(tiny, device=CPU).run(torch.zeros(shape))


def test_another_input_type_is_refused(tiny: Yolact) -> None:
    with pytest.raises(ImageError, match="float64"):
        EagerRuntime(tiny, device=CPU).run(torch.zeros(1, 3, 64, 64, dtype=torch.float64))


def test_a_device_out_of_memory_is_an_error_of_its_own(
    tiny: Yolact, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out_of_memory(self: EagerRuntime, images: Tensor) -> NetworkOutput:
        raise torch.OutOfMemoryError("CUDA out of memory")

    runtime = EagerRuntime(tiny, device=CPU)
    with monkeypatch.context() as patch:
        patch.setattr(EagerRuntime, "_run", run_out_of_memory)
        with pytest.raises(DeviceMemoryError, match="at an input of 64 px; use a smaller"):
            runtime.run(images)
    assert_close(runtime.run(images), reference(tiny, images), FP32_ERROR)


def test_graph_without_cuda_names_the_alternatives(tiny: Yolact) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"needs a CUDA device.*openvino"):
        GraphRuntime(tiny, device=CPU)


@needs_cuda
def test_graph_equals_eager_and_waits_for_nothing(light: Yolact, images: Tensor) -> None:
    device = torch.device("cuda")
    runtime = GraphRuntime(light, device=device)
    on_device = images.to(device)
    runtime.run(on_device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        output = runtime.run(on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_host = NetworkOutput(*(tensor.cpu() for tensor in output[:4]))
    assert_close(on_host, reference(light.cpu(), images), BF16_ERROR)


@pytest.mark.parametrize("open_runtime", [OpenVinoRuntime, NcnnRuntime])
def test_a_runtime_for_cpus_refuses_another_device(
    tiny: Yolact, open_runtime: Callable[..., Runtime]
) -> None:
    with pytest.raises(RuntimeUnavailableError, match="runs on the CPU, the device is cuda"):
        open_runtime(tiny, device=torch.device("cuda"))


def test_a_cpu_that_openvino_cannot_compile_for_is_a_reason(
    tiny: Yolact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So said OpenVINO with ONEDNN_MAX_CPU_ISA=SSE41 on a CPU with AVX-512."""
    pytest.importorskip("openvino")
    core = openvino_module._core()

    def compile_model(*_: object) -> None:
        raise RuntimeError("Exception from src/dev/plugin.cpp:54:\nbad combination\n\n")

    unable = SimpleNamespace(read_model=core.read_model, compile_model=compile_model)
    monkeypatch.setattr(openvino_module, "_core", lambda: unable)
    with pytest.raises(
        RuntimeUnavailableError, match=r"on this CPU \(bad combination\); set runtime to compiled"
    ):
        OpenVinoRuntime(tiny, device=CPU)


def test_onnxruntime_without_a_provider_for_the_device_says_what_it_has(tiny: Yolact) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(RuntimeUnavailableError, match="no provider for cuda, only"):
        OnnxRuntime(tiny, device=torch.device("cuda"))
