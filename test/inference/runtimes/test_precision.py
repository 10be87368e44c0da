"""Which precision a runtime computes in."""

from __future__ import annotations

import pytest
import torch

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes import precision
from yolact_ros.inference.runtimes.precision import (
    choose_precision,
    int8_sums_saturate,
    native_floats,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def choose(requested: str, device: torch.device = CPU) -> str:
    return choose_precision(
        requested,
        runtime="openvino",
        device=device,
        offered=(*native_floats(device), "int8"),
    )


@pytest.mark.parametrize(("has_bf16", "fastest"), [(False, "fp32"), (True, "bf16")])
def test_auto_is_the_first_that_the_runtime_offers(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, fastest: str
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: has_bf16)
    assert choose("auto") == fastest


def test_bf16_on_a_cpu_without_it_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: False)
    with pytest.raises(RuntimeUnavailableError, match=r"only fp32, int8; .*AVX512-BF16 or AMX"):
        choose("bf16")


def test_bf16_on_a_cpu_with_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: True)
    assert choose("bf16") == "bf16"


def test_int8_needs_no_units_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: False)
    assert choose("int8") == "int8"


def test_what_the_runtime_does_not_offer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: False)
    with pytest.raises(RuntimeUnavailableError, match="no precision fp16 on cpu, only fp32"):
        choose("fp16")


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RuntimeUnavailableError, match="'half', expected one of auto, fp32"):
        choose("half")


@pytest.mark.parametrize(
    ("capability", "floats"),
    [
        ((6, 1), ("fp32",)),
        ((7, 5), ("fp16", "fp32")),
        ((8, 6), ("fp16", "bf16", "fp32")),
        ((9, 0), ("fp16", "bf16", "fp32")),
    ],
)
def test_gpus_differ_by_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], floats: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert native_floats(CUDA) == floats


@pytest.mark.parametrize(
    ("machine", "unit", "saturate"),
    [
        ("x86_64", "avx2", True),
        ("x86_64", "avx512_vnni", False),
        ("x86_64", "avx_vnni", False),
        ("x86_64", "amx_int8", False),
        ("aarch64", "neon", False),
    ],
)
def test_int8_sums_saturate_on_x86_without_the_units_for_them(
    monkeypatch: pytest.MonkeyPatch, machine: str, unit: str, saturate: bool
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {unit: True}, raising=False)
    assert int8_sums_saturate() is saturate


@pytest.mark.parametrize(
    ("limit", "has_bf16", "saturate"),
    [
        ("", True, False),
        ("DEFAULT", True, False),
        ("AVX512_CORE_AMX", True, False),
        ("AVX512_CORE_BF16", True, False),
        ("AVX512_CORE_VNNI", False, False),
        ("AVX512_CORE", False, True),
        ("avx2", False, True),
        ("SSE41", False, True),
    ],
)
def test_units_that_onednn_may_not_use_are_not_counted_on(
    monkeypatch: pytest.MonkeyPatch, limit: str, has_bf16: bool, saturate: bool
) -> None:
    """With bf16 by emulation alone a network runs slower than in fp32."""
    units = {"avx512_bf16": True, "avx512_vnni": True}
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    monkeypatch.setattr(precision, "_cpu_has_bf16", precision._cpu_has_bf16.__wrapped__)
    assert ("bf16" in native_floats(CPU)) is has_bf16
    assert int8_sums_saturate() is saturate
