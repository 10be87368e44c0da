"""The checks of ``yolact doctor`` that need no ROS."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolact_ros.cli.doctor_checks import Verdict, check_model, check_packages, check_shm


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
