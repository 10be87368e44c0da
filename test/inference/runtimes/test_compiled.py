"""The compiled runtime, its file and what happens without a compiler."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes import compiled
from yolact_ros.inference.runtimes.compiled import (
    MODEL_FILE,
    CompiledRuntime,
    compile_for_cuda,
)
from yolact_ros.inference.runtimes.fold import InferenceNetwork, prepare_network
from yolact_ros.inference.runtimes.measurement import measure_ms
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.models import Yolact
from yolact_ros.models.network import Network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def engines(tiny: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the tiny network compiled for fp32."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("engines")
    CompiledRuntime(tiny, device=CPU, precision="fp32", cache_folder=folder)
    return folder


def forbid_compiling(network: InferenceNetwork, input_size_px: int, path: Path) -> None:
    raise AssertionError("compiled although the engine is in the cache")


def test_compiled_equals_eager(tiny: Yolact, images: Tensor, engines: Path) -> None:
    runtime = CompiledRuntime(tiny, device=CPU, precision="fp32", cache_folder=engines)
    with torch.inference_mode():
        exact = tiny(images)
    for got, expected in zip(runtime.run(images)[:4], exact[:4], strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_the_second_time_nothing_is_compiled(
    tiny: Yolact, images: Tensor, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_compile_to_file", forbid_compiling)
    runtime = CompiledRuntime(tiny, device=CPU, precision="fp32", cache_folder=engines)
    runtime.run(images)
    runtime.close()
    with pytest.raises(RuntimeUnavailableError, match="is closed"):
        runtime.run(images)


@pytest.mark.parametrize("damage", ["cut short", "not a package", "no manifest"])
def test_a_damaged_engine_is_built_again(
    tiny: Yolact,
    images: Tensor,
    engines: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    shutil.copytree(engines, tmp_path / "engines")
    (engine,) = (tmp_path / "engines").glob("compiled-*")
    (good,) = engines.glob("compiled-*")
    if damage == "no manifest":
        (engine / "manifest.json").unlink()
    else:
        contents = (good / MODEL_FILE).read_bytes()
        (engine / MODEL_FILE).write_bytes(contents[:1000] if damage == "cut short" else b"x")
    built: list[Path] = []

    def build(network: InferenceNetwork, input_size_px: int, path: Path) -> None:
        built.append(path)
        shutil.copy(good / MODEL_FILE, path)

    monkeypatch.setattr(compiled, "_compile_to_file", build)
    runtime = CompiledRuntime(
        tiny, device=CPU, precision="fp32", cache_folder=tmp_path / "engines"
    )
    runtime.run(images)
    assert len(built) == 1


def test_an_engine_that_is_whole_but_cannot_be_loaded_is_built_again(
    tiny: Yolact,
    images: Tensor,
    engines: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (good,) = engines.glob("compiled-*")
    contents = [b"this is no package", (good / MODEL_FILE).read_bytes()]

    def build(network: InferenceNetwork, input_size_px: int, path: Path) -> None:
        path.write_bytes(contents.pop(0))

    monkeypatch.setattr(compiled, "_compile_to_file", build)
    CompiledRuntime(tiny, device=CPU, precision="fp32", cache_folder=tmp_path).run(images)
    assert not contents


def test_without_a_compiler_eager_runs_and_says_why(
    tiny: Yolact, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "torch._inductor.aoti_compile_and_package", raise_what_torch_raises_without_a_compiler
    )
    with pytest.raises(RuntimeUnavailableError, match=r"C\+\+ compiler"):
        CompiledRuntime(tiny, device=CPU, precision="fp32")
    runtime = open_runtime("compiled", tiny, device=CPU, precision="fp32", cache_folder=tmp_path)
    assert runtime.name == "eager"
    assert "instead of compiled: torch's compiler failed" in runtime.describe()["reason"]
    runtime.run(images)


def raise_what_torch_raises_without_a_compiler(*_: object, **__: object) -> None:
    raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")


def test_precisions_that_the_cpu_lacks_are_refused(tiny: Yolact) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no precision fp16 on cpu"):
        CompiledRuntime(tiny, device=CPU, precision="fp16")
    with pytest.raises(RuntimeUnavailableError, match=r"no precision int8.*openvino has int8"):
        CompiledRuntime(tiny, device=CPU, precision="int8")


def test_what_the_compiler_prints_goes_to_the_log(
    light: Yolact,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def compile_loudly(network: Callable[[Tensor], object], **_: object) -> object:
        def run(images: Tensor) -> object:
            sys.stderr.write("AUTOTUNE addmm(676x96, 676x232)\n  addmm 0.0078 ms\n")
            other = threading.Thread(target=lambda: print("of another thread", file=sys.stderr))
            other.start()
            other.join()
            warnings.warn_explicit(
                "TF32", UserWarning, "compile_fx.py", 322, "torch._inductor.compile_fx"
            )
            return network(images)

        return run

    monkeypatch.setattr(torch, "compile", compile_loudly)
    with caplog.at_level(logging.DEBUG):
        compile_for_cuda(prepare_network(light, device=CPU), 64, CPU)
    assert capsys.readouterr().err == "of another thread\n"
    assert caplog.messages == ["AUTOTUNE addmm(676x96, 676x232)", "  addmm 0.0078 ms"]


def test_a_device_compiles_once_for_measuring_and_for_frames(
    light: Yolact, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = CompileCounter()
    compile_it = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda network, **_: compile_it(network, backend=counter, fullgraph=True)
    )

    class OnDevice(CompiledRuntime):
        """Compiled in the process, as on CUDA."""

        def _open(self, model: Network) -> Callable[[Tensor], tuple[Tensor, ...]]:
            return compile_for_cuda(prepare_network(model, device=CPU), 64, CPU)

    runtime = OnDevice(light, device=CPU, precision="fp32")
    measure_ms([runtime])
    predictor = Predictor(light, device="cpu", runtime=runtime, on_device=True)
    predictor.warm_up()
    assert counter.frame_count == 1
