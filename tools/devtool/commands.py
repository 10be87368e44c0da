"""What `./dev` can do once the checkout is ready."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtool.environment import base_environment, ready_environment
from devtool.instruction_sets import INSTRUCTION_SETS, limited
from devtool.layout import Layout
from devtool.problem import SetupProblem
from devtool.ros import RosSource
from devtool.setup import locked

__all__ = ["clean", "demo", "lint", "run", "shell", "test"]

# Each worker of pytest-xdist has a ROS domain of its own. The tests of a file stay in one worker,
# for the sake of the nodes that they share; test/conftest.py has those first that mostly wait.
_SIDE_BY_SIDE = ("--dist=loadfile", "--no-loadscope-reorder")
_TEST_RUNS: tuple[Sequence[str], ...] = (
    ("--numprocesses=3", *_SIDE_BY_SIDE, "-m", "not alone"),
    ("-m", "alone"),
)
# The folders whose tests compare what the CPU computes.
_NUMERIC_TESTS = (
    "--numprocesses=2",
    *_SIDE_BY_SIDE,
    "test/cli",
    "test/evaluation",
    "test/inference",
    "test/models",
    "test/ops",
    "test/training",
    "test/test_masks.py",
)
_CACHES = (".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")


def _become(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Replace this process by `command`, found on the PATH of `env`."""
    program = shutil.which(command[0], path=env.get("PATH"))
    if program is None:
        raise SetupProblem(
            f"there is no command {command[0]!r} in the environment.",
            "commands of the package begin with `yolact`; ./dev build adds pytest, ruff and ray.",
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, list(command), dict(env))


def run(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev run CMD ...`: one command in the ready environment and the caller's folder."""
    if not arguments:
        raise SetupProblem("./dev run needs a command.", "for example: ./dev run yolact --help")
    return _become(arguments, ready_environment(layout, ros, os.environ))


def demo(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev demo ...`: the demo, on this machine only unless the user asked for more."""
    env = ready_environment(layout, ros, os.environ)
    if "ROS_LOCALHOST_ONLY" not in env:
        env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return _become(["yolact", "demo", *arguments], env)


def shell(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev shell`: the user's shell in the ready environment."""
    env = ready_environment(layout, ros, os.environ)
    program = os.environ.get("SHELL") or "/bin/sh"
    command = [program, *arguments]
    if Path(program).name == "bash" and not arguments and sys.stdin.isatty():
        # A .bashrc may put a version manager's Python before ours, so PATH is set after it.
        start = layout.state / "bashrc"
        start.write_text(
            "[ -f ~/.bashrc ] && . ~/.bashrc\n"
            f"export PATH={shlex.quote(env['PATH'])}\n"
            'PS1="(yolact_ros) $PS1"\n'
        )
        command = [program, "--rcfile", str(start), "-i"]
    print(f"{ros}; leave with `exit`.", file=sys.stderr)
    return _become(command, env)


def _run_all(
    layout: Layout, commands: Sequence[Sequence[str]], env: Mapping[str, str]
) -> list[tuple[str, int]]:
    """Run each command in the checkout; the failed ones with their exit status."""
    failed: list[tuple[str, int]] = []
    for command in commands:
        print(f"$ {shlex.join(command)}", flush=True)
        program = shutil.which(command[0], path=env["PATH"]) or command[0]
        status = subprocess.run([program, *command[1:]], cwd=layout.root, env=env).returncode
        if status != 0:
            failed.append((shlex.join(command), status))
    return failed


def _lint(layout: Layout, ros: RosSource) -> list[tuple[str, int]]:
    # Without our own PYTHONPATH: mypy would take the installed copy for a second package.
    env = base_environment(layout, ros, os.environ)
    commands = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
    return _run_all(layout, commands, env)


def _status(failed: Sequence[tuple[str, int]]) -> int:
    for name, status in failed:
        print(f"FAILED (exit status {status}): {name}", file=sys.stderr)
    return failed[0][1] if failed else 0


def lint(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev lint`: ruff and mypy."""
    return _status(_lint(layout, ros))


def _test_instruction_sets(
    layout: Layout, env: Mapping[str, str], arguments: Sequence[str]
) -> list[tuple[str, int]]:
    """The numeric tests under each instruction set, and a table of what came out."""
    failed: list[tuple[str, int]] = []
    rows: list[str] = []
    for name, variables in INSTRUCTION_SETS.items():
        print(f"{name}: {shlex.join(f'{k}={v}' for k, v in variables.items())}")
        report = layout.state / "junit.xml"
        report.unlink(missing_ok=True)
        command = ["pytest", f"--junitxml={report}", *(arguments or _NUMERIC_TESTS)]
        missed = _run_all(layout, [command], limited(env, name))
        failed += [(f"{name}: {text}", status) for text, status in missed]
        rows.append(f"{name:32}{_counts(report)}")
    print("\n".join(["", f"{'instruction set':32}tests", *rows]), flush=True)
    return failed


def _counts(report: Path) -> str:
    """Passed, failed and skipped in a report of pytest in JUnit's form."""
    if not report.is_file():
        return "pytest did not run them"
    numbers = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ElementTree.parse(report).iter("testsuite"):
        for key in numbers:
            numbers[key] += int(suite.get(key, 0))
    failed = numbers["failures"] + numbers["errors"]
    passed = numbers["tests"] - failed - numbers["skipped"]
    return f"{passed} passed, {failed} failed, {numbers['skipped']} skipped"


def test(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev test [--cpu] [pytest arguments]`: ruff, mypy, then pytest, whatever they said.

    With `--cpu` only tests, the numeric ones, once under each of several instruction sets.
    """
    env = ready_environment(layout, ros, os.environ)
    if "--cpu" in arguments:
        others = [argument for argument in arguments if argument != "--cpu"]
        return _status(_test_instruction_sets(layout, env, others))
    failed = _lint(layout, ros)
    _free_shared_memory(layout, env)
    for tests in [arguments] if arguments else _TEST_RUNS:
        failed += _run_all(layout, [["pytest", *tests]], env)
    return _status(failed)


def _free_shared_memory(layout: Layout, env: Mapping[str, str]) -> None:
    """Remove what nodes that earlier tests killed have left, 16 MB each; once it was 18 GB.

    Fast DDS's tool leaves alone what a running program uses. A ROS without it goes on as it is.
    """
    if program := shutil.which("fastdds", path=env["PATH"]):
        subprocess.run(
            [program, "shm", "clean"], cwd=layout.root, env=env, stdout=subprocess.DEVNULL
        )


def clean(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    """`./dev clean`: remove everything that set-up and the tests made in the checkout."""
    with locked(layout.lock):
        own = [path.parent for path in layout.root.glob(".venv*/.dev")]
        own += [path for name in _CACHES if (path := layout.root / name).exists()]
        own += [path for path in layout.state.iterdir() if path != layout.lock]
        for path in own:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            print(f"removed {path}")
    return 0
