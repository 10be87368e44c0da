"""SIGINT and SIGTERM end a program with exit code 0 and no traceback, or wait for their moment."""

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


# Another thread takes the signal, as one of torch's may; the pipe tells when it has.
CTRL_C = """
import os, signal, subprocess, sys, threading
from yolact_ros.signals import interrupts_held

threading.Thread(target=threading.Event().wait, daemon=True).start()
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)

def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    os.read(reader, 1)

"""


def printed(program: str) -> list[str]:
    """What a program prints that may press its own Ctrl-C."""
    result = subprocess.run(
        [sys.executable, "-c", CTRL_C + program], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    program = (
        "try:\n"
        "    with interrupts_held():\n"
        "        ctrl_c()\n"
        "        ctrl_c()\n"
        "        print('the block ends')\n"
        "    print('goes on')\n"
        "except KeyboardInterrupt:\n"
        "    print('then it is raised')\n"
        "print('once')\n"
    )
    assert printed(program) == ["the block ends", "then it is raised", "once"]


def test_ctrl_c_in_a_block_within_another_waits_for_the_end_of_both() -> None:
    program = (
        "try:\n"
        "    with interrupts_held():\n"
        "        with interrupts_held():\n"
        "            ctrl_c()\n"
        "        print('both end')\n"
        "except KeyboardInterrupt:\n"
        "    print('then it is raised')\n"
    )
    assert printed(program) == ["both end", "then it is raised"]


def test_after_the_block_ctrl_c_is_what_it_was_before() -> None:
    program = (
        "for before in (signal.default_int_handler, signal.SIG_IGN):\n"
        "    signal.signal(signal.SIGINT, before)\n"
        "    with interrupts_held():\n"
        "        pass\n"
        "    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "    print(signal.getsignal(signal.SIGINT) is before, blocked)\n"
    )
    assert printed(program) == ["True set()"] * 2


def test_what_a_block_starts_does_not_hear_ctrl_c() -> None:
    child = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    program = (
        f"command = [sys.executable, '-c', {child!r}]\n"
        "with interrupts_held():\n"
        "    subprocess.run(command, check=True)\n"
        "subprocess.run(command, check=True)\n"
    )
    assert printed(program) == ["True", "False"]


def test_a_thread_that_is_not_the_main_one_can_hold_it_for_what_it_starts() -> None:
    program = (
        "def start():\n"
        "    with interrupts_held():\n"
        "        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "thread = threading.Thread(target=start)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    assert printed(program) == ["True"]


def test_workers_are_all_started_before_ctrl_c_and_ended_after_it() -> None:
    program = (
        "import multiprocessing, time\n"
        "from yolact_ros.workers import Workers\n"
        "started = []\n"
        "try:\n"
        "    with Workers('sleeps', 'wake it') as workers:\n"
        "        with workers.starting():\n"
        "            for _ in range(2):\n"
        "                started.append(multiprocessing.get_context('spawn').Process(\n"
        "                    target=time.sleep, args=(600,)))\n"
        "                started[-1].start()\n"
        "                ctrl_c()\n"
        "            print('all started')\n"
        "        print('goes on')\n"
        "except KeyboardInterrupt:\n"
        "    print([process.exitcode for process in started])\n"
    )
    assert printed(program) == ["all started", "[-15, -15]"]
