"""Opening a runtime by name, and the choice of the fastest."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.errors import DependencyError, RuntimeUnavailableError
from yolact_ros.inference.runtimes import selection
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.precision import fastest_float
from yolact_ros.inference.runtimes.selection import (
    choose_runtime,
    default_engine_folder,
    open_eager,
    open_runtime,
    prepare_candidates,
    remembered_choice,
)
from yolact_ros.models import Yolact
from yolact_ros.models.network import Network
from yolact_ros.structures import NetworkOutput

CPU = torch.device("cpu")


class StandIn(Runtime):
    """A runtime that takes as long as the test wants."""

    def __init__(self, name: str, taken_ms: float, reason: str) -> None:
        self.__class__.name = name
        config = variant("yolact_light", input_size_px=64)
        model: Any = SimpleNamespace(config=config)
        super().__init__(model, device=CPU, precision="fp32", reason=reason)
        self.taken_ms = taken_ms
        self.is_closed = False

    def _open(self, model: Network) -> str:
        return "nothing"

    def _run(self, images: Tensor) -> NetworkOutput:
        raise AssertionError("its time is given, so nothing runs it")

    def close(self) -> None:
        self.is_closed = True


Machine = Callable[[dict[str, float | Exception]], list[str]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes a machine on which each runtime takes so long, or fails; returns what is opened."""

    def install(speeds: dict[str, float | Exception]) -> list[str]:
        opened: list[str] = []

        def open_one(request: object, name: str, reason: str = "") -> Runtime:
            opened.append(name)
            speed = speeds[name]
            if isinstance(speed, Exception):
                raise speed
            kind = type(f"StandIn_{name}", (StandIn,), {})
            runtime: Runtime = kind(name, speed, reason)
            return runtime

        monkeypatch.setattr(selection, "_open_candidate", open_one)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: "there" if name in speeds else None
        )
        monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))
        monkeypatch.setattr(
            selection, "measure_ms", lambda all_, turn: [one.taken_ms for one in all_]
        )
        return opened

    return install


def test_auto_takes_the_fastest_and_says_why(tiny: Yolact, machine: Machine) -> None:
    machine({"openvino": DependencyError("not installed"), "compiled": 9.0, "eager": 20.0})
    runtime = open_runtime("auto", tiny, device=CPU)
    assert runtime.name == "compiled"
    reason = runtime.describe()["reason"]
    assert "openvino not available (not installed)" in reason
    assert "compiled fp32 9.0 ms; eager fp32 20.0 ms" in reason


def test_auto_does_not_compile_for_minutes_where_openvino_is_there(
    tiny: Yolact, machine: Machine
) -> None:
    opened = machine({"openvino": 5.0, "eager": 20.0})
    assert open_runtime("auto", tiny, device=CPU).name == "openvino"
    assert opened == ["openvino", "eager"]


def test_auto_on_cuda_does_not_compile_again_beside_the_graph(
    tiny: Yolact, machine: Machine
) -> None:
    opened = machine({"graph": 1.0, "compiled": 4.0, "eager": 6.0})
    assert open_runtime("auto", tiny, device=torch.device("cuda")).name == "graph"
    assert opened == ["graph", "eager"]
    opened = machine({"graph": RuntimeUnavailableError("no"), "compiled": 4.0, "eager": 6.0})
    assert open_runtime("auto", tiny, device=torch.device("cuda")).name == "compiled"


@pytest.mark.parametrize(
    ("openvino_ms", "ncnn_ms", "fastest"), [(5.0, 3.0, "ncnn"), (3.0, 5.0, "openvino")]
)
def test_auto_measures_ncnn_beside_openvino_and_takes_the_faster(
    tiny: Yolact, machine: Machine, openvino_ms: float, ncnn_ms: float, fastest: str
) -> None:
    machine({"openvino": openvino_ms, "ncnn": ncnn_ms, "eager": 20.0})
    runtime = open_runtime("auto", tiny, device=CPU, precision="fp32")
    assert runtime.name == fastest
    assert runtime.describe()["reason"] == (
        f"fastest: compiled not tried beside openvino and ncnn; openvino fp32 {openvino_ms} ms; "
        f"ncnn fp32 {ncnn_ms} ms; eager fp32 20.0 ms"
    )


def test_where_ncnn_is_not_installed_auto_does_not_speak_of_it(
    tiny: Yolact, machine: Machine
) -> None:
    opened = machine({"openvino": 5.0, "eager": 20.0})
    runtime = open_runtime("auto", tiny, device=CPU)
    assert opened == ["openvino", "eager"]
    assert runtime.describe()["reason"] == (
        "fastest: compiled not tried beside openvino; openvino fp32 5.0 ms; eager fp32 20.0 ms"
    )


def test_auto_does_not_try_ncnn_where_the_cpu_has_bfloat16(
    tiny: Yolact, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "fastest_float", lambda device: "bf16")
    opened = machine({"openvino": 5.0, "ncnn": 9.0, "eager": 20.0})
    open_runtime("auto", tiny, device=CPU)
    assert opened == ["openvino", "eager"]
    opened.clear()
    open_runtime("auto", tiny, device=CPU, precision="fp32")
    assert opened == ["openvino", "ncnn", "eager"]


def test_auto_remembers_its_choice(tiny: Yolact, machine: Machine, tmp_path: Path) -> None:
    opened = machine({"openvino": 5.0, "eager": 2.0})
    assert open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path).name == "eager"
    opened.clear()
    runtime = open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path)
    assert (runtime.name, opened) == ("eager", ["eager"])
    assert "the fastest when it was measured" in runtime.describe()["reason"]


def test_a_choice_made_on_a_busy_machine_is_not_remembered(
    tiny: Yolact, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = machine({"openvino": 5.0, "eager": 2.0})
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0 * (os.cpu_count() or 1), 0.0, 0.0))
    runtime = open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path)
    assert "not remembered" in runtime.describe()["reason"]
    opened.clear()
    open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path)
    assert opened == ["openvino", "eager"]


def test_auto_measures_again_when_its_choice_cannot_run_any_more(
    tiny: Yolact, machine: Machine, tmp_path: Path
) -> None:
    machine({"openvino": 5.0, "eager": 20.0})
    open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path)
    gone = RuntimeUnavailableError("uninstalled")
    machine({"openvino": gone, "compiled": gone, "eager": 20.0})
    assert open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path).name == "eager"


@pytest.mark.parametrize("contents", [b"", b"{", b"[1]", b"\xff\xfe", b'{"key": 3}'])
def test_a_damaged_memory_of_choices_is_written_anew(
    tiny: Yolact, machine: Machine, tmp_path: Path, contents: bytes
) -> None:
    (tmp_path / "auto.json").write_bytes(contents)
    machine({"openvino": 5.0, "eager": 20.0})
    assert open_runtime("auto", tiny, device=CPU, cache_folder=tmp_path).name == "openvino"
    assert "openvino" in json.loads((tmp_path / "auto.json").read_text()).values()


def test_a_choice_that_cannot_be_kept_is_used_all_the_same(
    tiny: Yolact, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    machine({"openvino": 5.0, "eager": 20.0})
    folder = tmp_path / "file" / "engines"
    assert open_runtime("auto", tiny, device=CPU, cache_folder=folder).name == "openvino"


def test_when_nothing_runs_the_reasons_are_named(tiny: Yolact, machine: Machine) -> None:
    machine({"openvino": DependencyError("openvino is not installed")})
    with pytest.raises(RuntimeUnavailableError, match=r"no runtime.*openvino is not installed"):
        open_runtime("auto", tiny, device=CPU, precision="int8")


def test_an_unknown_runtime_is_refused_with_the_known_ones(tiny: Yolact) -> None:
    with pytest.raises(RuntimeUnavailableError, match="'tensorflow', expected one of auto, eager"):
        open_runtime("tensorflow", tiny, device=CPU)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_runtime_that_is_not_installed_is_named_with_the_command(
    tiny: Yolact, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=f"pip install {name}"):
        open_runtime(name, tiny, device=CPU)


def test_eager_in_auto_precision_is_exact_and_by_name(tiny: Yolact) -> None:
    assert open_runtime("eager", tiny, device=CPU).describe()["precision"] == "fp32"


def test_those_that_are_not_the_fastest_are_closed(tiny: Yolact, machine: Machine) -> None:
    stand_ins: list[StandIn] = []
    machine({"openvino": 5.0, "eager": 20.0})
    measure = selection.measure_ms

    def remember(runtimes: Sequence[Runtime], turn: object) -> list[float]:
        stand_ins.extend(one for one in runtimes if isinstance(one, StandIn))
        return measure(runtimes, turn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "measure_ms", remember)
        open_runtime("auto", tiny, device=CPU)
    assert [one.is_closed for one in stand_ins] == [False, True]


def test_what_preparing_found_unavailable_is_not_tried(tiny: Yolact, machine: Machine) -> None:
    opened = machine({"openvino": 5.0, "compiled": 9.0, "eager": 20.0})
    reasons = {"openvino": "not installed", "compiled": "no compiler"}
    runtime = choose_runtime(tiny, device=CPU, prepare=lambda: reasons)
    assert (runtime.name, opened) == ("eager", ["eager"])
    reason = runtime.describe()["reason"]
    assert "openvino not available (not installed); compiled not available (no" in reason


def test_the_load_that_preparing_makes_does_not_count_as_that_of_others(
    tiny: Yolact, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine({"openvino": 5.0, "eager": 20.0})

    def prepare() -> dict[str, str]:
        monkeypatch.setattr(os, "getloadavg", lambda: (100.0 * (os.cpu_count() or 1), 0.0, 0.0))
        return {}

    choose_runtime(tiny, device=CPU, cache_folder=tmp_path, prepare=prepare)
    assert remembered_choice(tiny, device=CPU, cache_folder=tmp_path) == "openvino"
    assert remembered_choice(tiny, device=CPU, precision="fp32", cache_folder=tmp_path) == ""


@pytest.mark.parametrize("later", ["openvino", "ncnn"])
def test_a_choice_without_a_package_does_not_count_once_it_is_installed(
    tiny: Yolact,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    later: str,
) -> None:
    machine({"openvino": DependencyError("absent"), "compiled": 9.0, "eager": 20.0})
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        choose_runtime(tiny, device=CPU, cache_folder=tmp_path)
        assert remembered_choice(tiny, device=CPU, cache_folder=tmp_path) == "compiled"
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: "there" if name == later else None
    )
    assert remembered_choice(tiny, device=CPU, cache_folder=tmp_path) == ""


def test_preparing_opens_what_will_be_measured_and_tells_what_cannot_be(
    tiny: Yolact, machine: Machine
) -> None:
    opened = machine({"openvino": DependencyError("absent"), "compiled": 9.0, "eager": 20.0})
    unavailable = prepare_candidates(tiny, device=CPU, precision="auto", cache_folder=None)
    assert unavailable == {"openvino": "absent"}
    assert opened == ["openvino", "compiled", "eager"]


def test_preparing_lets_go_of_each_network_before_the_next(
    tiny: Yolact, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine({"openvino": 5.0, "ncnn": 9.0, "eager": 20.0})
    open_one = selection._open_candidate
    before: list[StandIn] = []

    def watch(request: object, name: str, reason: str = "") -> Runtime:
        assert all(runtime.is_closed for runtime in before)
        runtime = open_one(request, name, reason)  # type: ignore[arg-type]
        before.append(runtime)  # type: ignore[arg-type]
        return runtime

    monkeypatch.setattr(selection, "_open_candidate", watch)
    prepare_candidates(tiny, device=CPU, precision="fp32", cache_folder=None)
    assert [runtime.name for runtime in before] == ["openvino", "ncnn", "eager"]
    assert all(runtime.is_closed for runtime in before)


def test_what_was_opened_is_closed_when_measuring_is_given_up(
    tiny: Yolact, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins: list[StandIn] = []
    machine({"openvino": 5.0, "eager": 20.0})

    def give_up(runtimes: Sequence[Runtime], turn: object) -> list[float]:
        stand_ins.extend(one for one in runtimes if isinstance(one, StandIn))
        raise KeyboardInterrupt

    monkeypatch.setattr(selection, "measure_ms", give_up)
    with pytest.raises(KeyboardInterrupt):
        choose_runtime(tiny, device=CPU)
    assert [one.is_closed for one in stand_ins] == [True, True]


def test_the_eager_of_auto_computes_in_the_fastest_float(tiny: Yolact) -> None:
    runtime = open_eager(tiny, device=CPU)
    assert (runtime.name, runtime.precision) == ("eager", fastest_float(CPU))


def test_engines_are_kept_beside_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path))
    assert default_engine_folder() == tmp_path / "engines"
    monkeypatch.delenv("YOLACT_ROS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_engine_folder() == tmp_path / "cache" / "yolact_ros" / "engines"
