"""SIGINT and SIGTERM end a program with exit code 0 and no traceback, wherever it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM]
START = "from yolact_ros.signals import StopSignal\nstop = StopSignal()\n"


def end(program: str, number: int, count: int = 1) -> tuple[int, str, float]:
    """Exit code, output and seconds after the signal, which comes once the program prints."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", START + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        begun_s = time.monotonic()
        for _ in range(count):
            process.send_signal(number)
        rest = process.stdout.read()
        return process.wait(30), line + rest, time.monotonic() - begun_s


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_program_is_ready_ends_it_at_once(number: int) -> None:
    code, output, _ = end("print('importing')\nwhile True: pass\n", number)
    assert (code, output) == (0, "importing\n")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("count", [1, 5])
def test_a_program_that_looks_at_the_signal_ends_itself(number: int, count: int) -> None:
    program = (
        "stop.ends_itself()\nprint('running')\nwhile not stop.wait(10): pass\nprint('put away')\n"
        "stop.exit(0)\n"
    )
    code, output, _ = end(program, number, count)
    assert (code, output) == (0, "running\nput away\n")


def test_the_wait_for_a_signal_ends_without_one_too() -> None:
    program = "stop.ends_itself()\nprint(stop.wait(0.01), stop.is_set())\nraise SystemExit(3)\n"
    code, output, _ = end(program, 0)
    assert (code, output) == (3, "False False\n")


def test_a_program_that_does_not_look_is_ended_after_its_time() -> None:
    program = "import time\nstop.ends_itself(0.5)\nprint('compiling')\nwhile True: pass\n"
    code, output, seconds = end(program, signal.SIGINT)
    assert (code, output) == (0, "compiling\n")
    assert seconds >= 0.4


def test_what_takes_its_time_is_left_to_finish() -> None:
    program = (
        "import time\nstop.ends_itself(within_s=None)\nprint('recording')\n"
        "while not stop.wait(10): pass\ntime.sleep(2)\nprint('saved')\n"
    )
    code, output, _ = end(program, signal.SIGTERM)
    assert (code, output) == (0, "recording\nsaved\n")


def test_no_callback_is_interrupted() -> None:
    program = (
        "stop.ends_itself()\nfinished = 0\nprint('running')\n"
        "while not (finished and stop.is_set()):\n"
        "    try:\n"
        "        sum(range(1000))\n"
        "        finished += 1\n"
        "    except BaseException as error:\n"
        "        print('interrupted', error)\n"
        "print('ended')\n"
    )
    assert end(program, signal.SIGINT, count=3)[:2] == (0, "running\nended\n")
