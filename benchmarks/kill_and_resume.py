"""A run that is killed at random moments and resumed ends with the weights of an unbroken one.

    python benchmarks/kill_and_resume.py [--kills 3] [--seed 0]

Kills with SIGKILL, wherever the program happens to be: in a step or while writing a checkpoint.
Exit code 0 when every weight and every averaged weight is equal bit for bit.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from training_runs import train_command, weights_of, write_run


def main() -> int:
    """Run the comparison and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        unbroken = write_run(folder, "unbroken")
        start = time.monotonic()
        finish(unbroken)
        duration_s = time.monotonic() - start
        broken = write_run(folder, "broken")
        kills = 0
        while kills < args.kills:
            resume = ["--resume"] if (folder / "broken" / "state.pt").exists() else []
            process = train_command(broken, *resume)
            time.sleep(chance.uniform(0.4, 0.9) * duration_s)
            if process.poll() is not None:
                break  # the rest of the run was shorter than the wait
            process.kill()
            output, _ = process.communicate()
            kills += 1
            resumed = [line for line in output.splitlines() if line.startswith("resumes")]
            print(f"kill {kills}: {resumed[0] if resumed else 'started anew'}")
        if kills == 0:
            print("the run ended before it could be killed")
            return 1
        finish(broken, "--resume")
        wanted, found = weights_of(folder / "unbroken"), weights_of(folder / "broken")
    different = [key for key, value in wanted.items() if not torch.equal(value, found[key])]
    print(f"{len(wanted)} tensors after {kills} kills: {len(different)} differ")
    return 1 if different else 0


def finish(config: Path, *flags: str) -> None:
    """Run to the end; stop with the output when the run fails."""
    process = train_command(config, *flags)
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the run failed:\n{output}")


if __name__ == "__main__":
    sys.exit(main())
