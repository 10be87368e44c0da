"""The node on a device whose memory holds inputs up to a size only, read from a file at every run.

Where memory is short the network raises what torch raises on a GPU. A pause after that lasts two
seconds here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from yolact_ros.inference import frame_processor
from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.ros import node
from yolact_ros.structures import NetworkOutput


def main() -> int:
    limit = Path(sys.argv.pop(1))
    run = EagerRuntime._run

    def run_in_little_memory(runtime: EagerRuntime, images: Tensor) -> NetworkOutput:
        if runtime.input_size_px > int(limit.read_text()):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return run(runtime, images)

    EagerRuntime._run = run_in_little_memory  # type: ignore[method-assign]
    frame_processor.OUT_OF_MEMORY_PAUSE_MS = 2000.0
    return node.main()


if __name__ == "__main__":
    sys.exit(main())
