"""The checks of ``yolact doctor`` that need no ROS."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

import pytest

from yolact_ros.cli.doctor_checks import (
    Finding,
    Verdict,
    check_cpu,
    check_discovery,
    check_model,
    check_packages,
    check_runtimes,
    check_shm,
)
from yolact_ros.cli.main import main


def test_what_is_installed_is_reported_as_good() -> None:
    findings = list(check_packages())
    assert {finding.verdict for finding in findings} == {Verdict.GOOD}
    assert {"python", "torch", "numpy", "opencv"} <= {finding.subject for finding in findings}


def test_a_missing_model_is_wrong_and_has_a_cure(tmp_path: Path) -> None:
    finding = check_model(str(tmp_path / "gone.pth"))
    assert finding.verdict is Verdict.WRONG
    assert "gone.pth" in finding.detail
    assert "yolact models list" in finding.cure


def test_segments_left_in_shared_memory_are_counted(tmp_path: Path) -> None:
    (tmp_path / "fastrtps_0123").write_bytes(b"x" * 3_000_000)
    (tmp_path / "other").write_bytes(b"x" * 9_000_000)
    finding = check_shm(tmp_path)
    assert "3 MB in Fast DDS segments" in finding.detail


def test_full_shared_memory_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    finding = check_shm(tmp_path)
    assert finding.verdict is Verdict.WRONG
    assert "fastdds shm clean" in finding.cure


def test_segments_of_killed_processes_are_told_from_those_in_use(tmp_path: Path) -> None:
    for name, size in (("fastrtps_dead", 3_000_000), ("fastrtps_live", 5_000_000)):
        (tmp_path / name).write_bytes(b"x" * size)
        (tmp_path / f"{name}_el").touch()
    (tmp_path / "fastrtps_port7410").write_bytes(b"x" * 50_000)
    (tmp_path / "fastrtps_port7410_el").touch()
    with (tmp_path / "fastrtps_live_el").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finding = check_shm(tmp_path)
    assert finding.verdict is Verdict.NOTICE
    assert "8 MB in Fast DDS segments, 3 of them in 1 left by killed processes" in finding.detail
    assert finding.cure == "fastdds shm clean"


def test_a_slow_cpu_governor_is_noticed(tmp_path: Path) -> None:
    governor = tmp_path / "scaling_governor"
    assert list(check_cpu(governor)) == []
    for name, verdict in (("powersave", Verdict.NOTICE), ("performance", Verdict.GOOD)):
        governor.write_text(f"{name}\n")
        (finding,) = check_cpu(governor)
        assert finding.verdict is verdict
        assert name in finding.detail


def test_the_runtimes_that_can_be_chosen_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: name in ("openvino", "ncnn") or None
    )
    assert check_runtimes().detail == "eager, openvino, ncnn"


@pytest.mark.parametrize(
    ("environment", "verdict", "text"),
    [
        ({}, Verdict.GOOD, "domain 0, range SUBNET"),
        ({"ROS_DOMAIN_ID": "42"}, Verdict.GOOD, "domain 42"),
        ({"ROS_DOMAIN_ID": "200"}, Verdict.NOTICE, "ports may be taken"),
        ({"ROS_DOMAIN_ID": "233"}, Verdict.WRONG, "ROS_DOMAIN_ID is '233'"),
        ({"ROS_DOMAIN_ID": "robot"}, Verdict.WRONG, "ROS_DOMAIN_ID is 'robot'"),
        ({"ROS_LOCALHOST_ONLY": "1"}, Verdict.NOTICE, "other computers are not seen"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, Verdict.NOTICE, "no other process is seen"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "WIDE"}, Verdict.WRONG, "is 'WIDE'"),
    ],
)
def test_what_keeps_others_from_being_seen_is_named(
    environment: dict[str, str], verdict: Verdict, text: str
) -> None:
    finding = check_discovery(environment)
    assert finding.verdict is verdict
    assert text in finding.detail
    assert bool(finding.cure) is (verdict is not Verdict.GOOD)


@pytest.fixture
def one_finding(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    finding = Finding(request.param, "thing", "as it is", "what to do")
    monkeypatch.setattr("yolact_ros.cli.doctor._findings", lambda _: iter([finding]))


@pytest.mark.parametrize(
    ("one_finding", "code"),
    [(Verdict.GOOD, 0), (Verdict.NOTICE, 0), (Verdict.WRONG, 1)],
    indirect=["one_finding"],
)
@pytest.mark.usefixtures("one_finding")
def test_the_exit_code_counts_what_is_wrong_and_no_notes(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == code
    assert "thing: as it is\n       -> what to do" in capsys.readouterr().out


@pytest.mark.parametrize("one_finding", [Verdict.WRONG], indirect=True)
@pytest.mark.usefixtures("one_finding")
def test_scripts_can_read_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "wrong": 1,
        "findings": [
            {"verdict": "WRONG", "subject": "thing", "detail": "as it is", "cure": "what to do"}
        ],
    }


def test_a_ros_that_cannot_be_loaded_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    monkeypatch.setitem(sys.modules, "yolact_ros.ros.doctor.checks", None)
    assert main(["doctor"]) == 1
    assert "WRONG  ROS 2: rclpy cannot be loaded" in capsys.readouterr().out


def test_nothing_is_looked_for_in_a_domain_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    monkeypatch.setenv("ROS_DOMAIN_ID", "robot")
    assert main(["doctor", "/image"]) == 1
    report = capsys.readouterr().out
    assert "WRONG  discovery: ROS_DOMAIN_ID is 'robot'" in report
    assert "/image" not in report
