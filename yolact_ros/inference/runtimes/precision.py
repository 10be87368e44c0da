"""Which number formats a device computes in natively."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Collection, Sequence

import torch

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.names import PRECISIONS

__all__ = [
    "PRECISIONS",
    "choose_precision",
    "fastest_float",
    "float_type",
    "int8_sums_saturate",
    "native_floats",
]

_FLOAT_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Half precision pays from NVIDIA's Volta on, bfloat16 from Ampere on.
_FP16_CUDA_CAPABILITY = (7, 0)
_BF16_CUDA_CAPABILITY = (8, 0)
_CURES = {
    "int8": "runtime openvino has int8",
    "bf16": "bf16 needs a CPU with AVX512-BF16 or AMX, or a GPU with bfloat16 units",
}
_BF16_UNITS = ("avx512_bf16", "amx_bf16")
_VNNI_UNITS = ("avx512_vnni", "avx_vnni", "amx_int8")
# Values of oneDNN's ONEDNN_MAX_CPU_ISA that rule those units out.
_LIMITS_WITHOUT_VNNI = ("SSE41", "AVX", "AVX2", "AVX512_CORE")
_LIMITS_WITHOUT_BF16 = (*_LIMITS_WITHOUT_VNNI, "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE_VNNI")


def float_type(precision: str) -> torch.dtype:
    """torch's type of ``fp32``, ``bf16`` or ``fp16``."""
    return _FLOAT_TYPES[precision]


def _cpu_has_any(units: Collection[str]) -> bool:
    """Whether an x86 CPU has one of these units, as torch calls them."""
    try:
        here = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # torch before 2.9
        here = {
            "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
            "avx512_vnni": torch.cpu._is_vnni_supported(),
        }
    return any(here.get(unit) for unit in units)


def _onednn_limit() -> str:
    """The instruction set that the user keeps oneDNN to, with it torch; empty for none."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()


@functools.cache
def _cpu_has_bf16() -> bool:
    return _onednn_limit() not in _LIMITS_WITHOUT_BF16 and _cpu_has_any(_BF16_UNITS)


def int8_sums_saturate() -> bool:
    """Whether the CPU adds int8 products in 16 bits, which weights of full range overflow.

    So do x86 CPUs without VNNI or AMX (``vpmaddubsw``); weights of 7 bits fit.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return _onednn_limit() in _LIMITS_WITHOUT_VNNI or not _cpu_has_any(_VNNI_UNITS)


def native_floats(device: torch.device) -> tuple[str, ...]:
    """The floating-point precisions that pay on a device, the fastest first."""
    if device.type == "cpu":
        return ("bf16", "fp32") if _cpu_has_bf16() else ("fp32",)
    if device.type != "cuda":
        return ("fp32",)
    capability = torch.cuda.get_device_capability(device)
    if capability >= _BF16_CUDA_CAPABILITY:
        return ("fp16", "bf16", "fp32")
    return ("fp16", "fp32") if capability >= _FP16_CUDA_CAPABILITY else ("fp32",)


def fastest_float(device: torch.device) -> str:
    """The fastest floating-point precision that a device has."""
    return native_floats(device)[0]


def choose_precision(
    requested: str,
    *,
    runtime: str,
    device: torch.device,
    offered: Sequence[str],
) -> str:
    """The precision to use.

    Args:
        offered: precisions that the runtime has; ``auto`` is the first.

    Raises:
        RuntimeUnavailableError: unknown, or not offered by the runtime on the device.
    """
    if requested == "auto":
        return offered[0]
    if requested not in PRECISIONS:
        raise RuntimeUnavailableError(
            f"precision is {requested!r}, expected one of {', '.join(PRECISIONS)}"
        )
    if requested not in offered:
        raise RuntimeUnavailableError(
            f"the runtime {runtime} has no precision {requested} on {device.type}, only "
            f"{', '.join(offered)}; {_CURES.get(requested, 'choose one of these')}"
        )
    return requested
