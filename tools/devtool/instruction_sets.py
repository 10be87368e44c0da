"""Lesser instruction sets than this CPU's, for the libraries that choose their code by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["INSTRUCTION_SETS", "InstructionSet"]

_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENCV_CPU_DISABLE",
)


@dataclass(frozen=True)
class InstructionSet:
    """What the libraries are kept to, each by an environment variable of its own.

    torch has ``ATEN_CPU_CAPABILITY``, MKL's and oneDNN's. Our choice between bf16 and fp32, which
    OpenVINO gets as its precision hint, respects oneDNN's too. ncnn and ONNX Runtime have none.
    """

    name: str
    variables: Mapping[str, str]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` with these variables and without another limit."""
        others = {key: value for key, value in environ.items() if key not in _VARIABLES}
        return {**others, **self.variables}


# A CPU that lacks a set uses the next lesser one.
INSTRUCTION_SETS = (
    InstructionSet("all of this CPU", {}),
    InstructionSet(
        "AVX-512 without VNNI and bf16",
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "OPENBLAS_CORETYPE": "SkylakeX"},
    ),
    InstructionSet(
        "AVX2",
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
            "OPENCV_CPU_DISABLE": "AVX512-SKX",
        },
    ),
    InstructionSet(
        "SSE4",
        {
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_CBWR": "COMPATIBLE",
            "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
            # With SSE41 OpenVINO's oneDNN and its own code for AVX-512 are a "bad combination".
            "ONEDNN_MAX_CPU_ISA": "AVX",
            "OPENBLAS_CORETYPE": "Nehalem",
            "OPENCV_CPU_DISABLE": "AVX,FP16,AVX2,AVX512-SKX",
        },
    ),
)
