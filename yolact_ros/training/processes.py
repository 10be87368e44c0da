"""The processes of a distributed run; one process is the case without any of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed

__all__ = ["Processes", "join_processes", "leave_processes"]


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those of the run.

    Attributes:
        rank: 0..count-1; rank 0 writes files.
        count: number of processes.
        local_rank: number of the device on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: list[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor]

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()


def join_processes(device: str) -> Processes:
    """Join the group that torchrun's environment describes, if there is one.

    Uses NCCL on CUDA devices and gloo elsewhere.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    use_cuda = device != "cpu" and torch.cuda.is_available()
    distributed.init_process_group("nccl" if use_cuda else "gloo")
    return Processes(
        rank=distributed.get_rank(),
        count=distributed.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
    )


def leave_processes(processes: Processes) -> None:
    if processes.count > 1:
        distributed.destroy_process_group()
