"""Lesser instruction sets than this CPU's, for the libraries that choose their code by them.

Each library is kept to one by an environment variable of its own: torch has
``ATEN_CPU_CAPABILITY``, MKL's and oneDNN's. Our choice between bf16 and fp32, which OpenVINO gets
as its precision hint, respects oneDNN's too. ncnn and ONNX Runtime have none.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["INSTRUCTION_SETS", "limited"]

# A CPU that lacks a set uses the next lesser one.
INSTRUCTION_SETS: Mapping[str, Mapping[str, str]] = {
    "all of this CPU": {},
    "AVX-512 without VNNI and bf16": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX",
    },
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "OPENCV_CPU_DISABLE": "AVX512-SKX",
    },
    "SSE4": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        # With SSE41 OpenVINO's oneDNN and its own code for AVX-512 are a "bad combination".
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "OPENBLAS_CORETYPE": "Nehalem",
        "OPENCV_CPU_DISABLE": "AVX,FP16,AVX2,AVX512-SKX",
    },
}


def limited(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """``environ`` with the variables of one set and of no other."""
    known = {variable for variables in INSTRUCTION_SETS.values() for variable in variables}
    others = {key: value for key, value in environ.items() if key not in known}
    return {**others, **INSTRUCTION_SETS[name]}
