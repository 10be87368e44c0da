"""Training on two processes learns what one process learns.

    python benchmarks/two_processes.py [--processes 2] [--accumulate 2]

Runs `yolact train` alone, under torchrun, and alone with accumulated parts, and compares what was
learnt: the difference of the final weights relative to their change since the start. Sums are
rounded in another order, so it is not 0, and every step amplifies it, so the run is short and the
rate low. Batch norms are frozen: they would see other parts of the batch. Exit code 0 when all
differences are below 1 %.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import torch
from training_runs import train_command, weights_of, write_run

TOLERANCE = 0.01
SETTINGS = {"freeze_batch_norm": "yes", "learning_rate": 1e-4, "steps": 3}


def main() -> int:
    """Run the comparison and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--accumulate", type=int, default=2)
    args = parser.parse_args()
    runs = {
        "start": (1, {"steps": 1, "learning_rate": 0.0}),
        "one": (1, {}),
        f"{args.processes} processes": (args.processes, {}),
        f"{args.accumulate} parts": (1, {"accumulate": args.accumulate}),
    }
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        weights = {}
        for name, (processes, settings) in runs.items():
            config = write_run(folder, name, **{**SETTINGS, **settings})
            process = train_command(config, processes=processes)
            output, _ = process.communicate()
            if process.returncode:
                sys.exit(f"the run {name!r} failed:\n{output}")
            print(f"{name}: loss of each step {losses_of(folder / name)}")
            weights[name] = flat(weights_of(folder / name))
    learnt = weights["one"] - weights["start"]
    worst = 0.0
    for name in list(runs)[2:]:
        difference = float((weights[name] - weights["one"]).norm() / learnt.norm())
        worst = max(worst, difference)
        print(f"{name}: differs by {difference:.2e} of what one process learnt")
    return 1 if worst > TOLERANCE else 0


def losses_of(folder: Path) -> str:
    """Total losses in a run's table."""
    with (folder / "training.csv").open(encoding="utf-8", newline="") as file:
        return " ".join(row["total"] for row in csv.DictReader(file))


def flat(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """All weights in one vector."""
    return torch.cat([value.reshape(-1) for value in weights.values()])


if __name__ == "__main__":
    sys.exit(main())
