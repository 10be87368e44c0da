"""Watching and ending processes."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time

import pytest

from yolact_ros.cli import demo_processes
from yolact_ros.cli.demo_processes import Child, free_domain_id, stop_all

PATIENCE_S = 60.0
OBEDIENT = "import time; print('up', flush=True); time.sleep(600)"
DEAF = (
    "import signal, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True); time.sleep(600)"
)


def start(program: str, tmp_path, name: str = "child") -> Child:
    child = Child(name, [sys.executable, "-u", "-c", program], tmp_path / name, os.environ)
    deadline_s = time.monotonic() + PATIENCE_S
    while "up" not in child.last_lines() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert child.last_lines() == ["up"]
    return child


def test_a_child_reports_its_exit_code_and_last_lines(tmp_path):
    program = "for i in range(40): print('line', i)\nraise SystemExit(7)"
    child = Child("child", [sys.executable, "-c", program], tmp_path / "log", os.environ)
    assert child.wait(PATIENCE_S)
    assert child.exit_code() == 7
    assert child.last_lines(2) == ["line 38", "line 39"]


def test_a_child_hears_sigint_also_when_its_parent_does_not(tmp_path):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = start(OBEDIENT, tmp_path)
        child.signal(signal.SIGINT)
        assert child.wait(PATIENCE_S)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert child.last_lines()[-1] == "KeyboardInterrupt"


def test_stopping_is_polite_first_and_firm_where_needed(tmp_path, monkeypatch):
    obedient, deaf = start(OBEDIENT, tmp_path, "obedient"), start(DEAF, tmp_path, "deaf")
    stop_all([obedient], patience_s=PATIENCE_S)
    assert obedient.exit_code() in (1, 130, -signal.SIGINT)
    monkeypatch.setattr(demo_processes, "TERM_PATIENCE_S", 0.3)
    monkeypatch.setattr(demo_processes, "KILL_PATIENCE_S", PATIENCE_S)
    stop_all([obedient, deaf], patience_s=0.3)
    assert deaf.exit_code() == -signal.SIGKILL
    stop_all([obedient, deaf])


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """The domains that each call chose from; it took the first. Shared memory is empty."""
    offers = []
    monkeypatch.setattr(demo_processes, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(
        random, "choice", lambda domains: offers.append(set(domains)) or domains[0]
    )
    return offers


@pytest.mark.parametrize("port", [0, 249], ids=["first port", "last port"])
def test_a_domain_with_an_open_port_is_not_free(offered, port):
    domain = free_domain_id()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 7400 + 250 * domain + port))
        assert free_domain_id() != domain
    before, after = offered
    assert domain in before
    assert domain not in after
    assert before | after <= set(range(1, 102))


@pytest.mark.parametrize("name", ["fastrtps_port{}", "fastdds_port{}"])
def test_a_domain_with_a_port_that_a_killed_process_left_is_not_free(offered, tmp_path, name):
    domain = free_domain_id()
    (tmp_path / name.format(7400 + 250 * domain + 10)).touch()
    (tmp_path / "fastrtps_0123456789abcdef").touch()
    assert free_domain_id() != domain
    before, after = offered
    assert domain in before
    assert domain not in after


def test_where_every_domain_has_such_a_port_it_counts_no_longer(offered, tmp_path):
    for domain in range(1, 102):
        (tmp_path / f"fastrtps_port{7400 + 250 * domain + 10}").touch()
    domain = free_domain_id()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 7400 + 250 * domain))
        assert free_domain_id() != domain


def test_a_childs_cpu_time_is_that_of_its_work(tmp_path):
    program = (
        "import time\nwhile time.process_time() < 0.5: pass\nprint('up', flush=True)\n"
        "time.sleep(60)"
    )
    child = start(program, tmp_path)
    assert 0.4 < child.cpu_s() < 5
    stop_all([child])
    assert child.cpu_s() == 0
